"""The addresses of the shop."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.new_order, name="new-order"),
    path("orders/<uuid:pk>/", views.show_order, name="order"),
    path("orders/<uuid:pk>/status/", views.order_status, name="order-status"),
]
