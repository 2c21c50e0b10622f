"""What people fill in."""

from django import forms

from .models import Order


class OrderForm(forms.ModelForm):
    """An order."""

    class Meta:
        model = Order
        fields = ("email", "item")
