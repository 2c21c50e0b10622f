// Asks a server as RustQueue's published Go clients do: net/http, and a line scanner of at most 1 MiB over a connection,
// with every reply decoded into types, so that a number in the wrong form is an error.
// Usage: client http|tcp HOST PORT [TOKEN]. Reads calls as [name, argument, …], one JSON line each; writes {value} or {error}.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

type object = map[string]interface{}

type job struct {
	ID               string      `json:"id"`
	CustomID         *string     `json:"custom_id"`
	Name             string      `json:"name"`
	Queue            string      `json:"queue"`
	Data             interface{} `json:"data"`
	Result           interface{} `json:"result"`
	State            string      `json:"state"`
	Progress         *float64    `json:"progress"`
	Logs             []logEntry  `json:"logs"`
	Priority         int         `json:"priority"`
	DelayUntil       *string     `json:"delay_until"`
	CreatedAt        string      `json:"created_at"`
	UpdatedAt        string      `json:"updated_at"`
	StartedAt        *string     `json:"started_at"`
	CompletedAt      *string     `json:"completed_at"`
	MaxAttempts      int         `json:"max_attempts"`
	Attempt          int         `json:"attempt"`
	Backoff          string      `json:"backoff"`
	BackoffDelayMs   int         `json:"backoff_delay_ms"`
	LastError        *string     `json:"last_error"`
	TTLMs            *int        `json:"ttl_ms"`
	TimeoutMs        *int        `json:"timeout_ms"`
	UniqueKey        *string     `json:"unique_key"`
	Tags             []string    `json:"tags"`
	GroupID          *string     `json:"group_id"`
	DependsOn        []string    `json:"depends_on"`
	FlowID           *string     `json:"flow_id"`
	LIFO             bool        `json:"lifo"`
	RemoveOnComplete bool        `json:"remove_on_complete"`
	RemoveOnFail     bool        `json:"remove_on_fail"`
	WorkerID         *string     `json:"worker_id"`
	LastHeartbeat    *string     `json:"last_heartbeat"`
}

type logEntry struct {
	Timestamp string `json:"timestamp"`
	Message   string `json:"message"`
}

// Options travel through a type, too: an integer beyond it would be cut.
type options struct {
	Priority         *int     `json:"priority,omitempty"`
	DelayMs          *int     `json:"delay_ms,omitempty"`
	MaxAttempts      *int     `json:"max_attempts,omitempty"`
	Backoff          *string  `json:"backoff,omitempty"`
	BackoffDelayMs   *int     `json:"backoff_delay_ms,omitempty"`
	TTLMs            *int     `json:"ttl_ms,omitempty"`
	TimeoutMs        *int     `json:"timeout_ms,omitempty"`
	UniqueKey        *string  `json:"unique_key,omitempty"`
	Tags             []string `json:"tags,omitempty"`
	GroupID          *string  `json:"group_id,omitempty"`
	LIFO             *bool    `json:"lifo,omitempty"`
	RemoveOnComplete *bool    `json:"remove_on_complete,omitempty"`
	RemoveOnFail     *bool    `json:"remove_on_fail,omitempty"`
	CustomID         *string  `json:"custom_id,omitempty"`
}

type counts struct {
	Waiting   int `json:"waiting"`
	Active    int `json:"active"`
	Delayed   int `json:"delayed"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	Dlq       int `json:"dlq"`
	Blocked   int `json:"blocked"`
}

type queueInfo struct {
	Name   string `json:"name"`
	Counts counts `json:"counts"`
}

type schedule struct {
	Name           string      `json:"name"`
	Queue          string      `json:"queue"`
	JobName        string      `json:"job_name"`
	JobData        interface{} `json:"job_data"`
	JobOptions     *options    `json:"job_options"`
	CronExpr       *string     `json:"cron_expr"`
	EveryMs        *int        `json:"every_ms"`
	Timezone       *string     `json:"timezone"`
	MaxExecutions  *int        `json:"max_executions"`
	ExecutionCount int         `json:"execution_count"`
	Paused         bool        `json:"paused"`
	LastRunAt      *string     `json:"last_run_at"`
	NextRunAt      *string     `json:"next_run_at"`
	CreatedAt      string      `json:"created_at"`
	UpdatedAt      string      `json:"updated_at"`
}

type acked struct {
	OK      bool `json:"ok"`
	Acked   int  `json:"acked"`
	Failed  int  `json:"failed"`
	Results []struct {
		ID    string `json:"id"`
		OK    bool   `json:"ok"`
		Error *struct {
			Code string `json:"code"`
		} `json:"error,omitempty"`
	} `json:"results"`
}

// Every member of a reply that some call reads.
type reply struct {
	ID            string      `json:"id"`
	IDs           []string    `json:"ids"`
	Job           *job        `json:"job"`
	Jobs          []job       `json:"jobs"`
	Retry         bool        `json:"retry"`
	WillRetry     bool        `json:"will_retry"`
	NextAttemptAt *string     `json:"next_attempt_at"`
	Queues        []queueInfo `json:"queues"`
	Counts        counts      `json:"counts"`
	Schedule      *schedule   `json:"schedule"`
	Schedules     []schedule  `json:"schedules"`
	Status        string      `json:"status"`
	Version       string      `json:"version"`
	UptimeSeconds float64     `json:"uptime_seconds"`
}

type refused string

func (code refused) Error() string { return string(code) }

func judged(text []byte) (reply, []byte, error) {
	var envelope map[string]json.RawMessage
	var isOK bool
	var found reply
	if err := json.Unmarshal(text, &envelope); err != nil {
		return found, text, refused("PARSE_ERROR")
	}
	if err := json.Unmarshal(envelope["ok"], &isOK); err == nil && !isOK {
		var trouble struct {
			Code string `json:"code"`
		}
		if err := json.Unmarshal(envelope["error"], &trouble); err != nil {
			return found, text, refused("UNKNOWN_ERROR")
		}
		return found, text, refused(trouble.Code)
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return found, text, fmt.Errorf("decoding: %w", err)
	}
	return found, text, nil
}

func overHTTP(host, port, token string) func(string, []json.RawMessage) (interface{}, error) {
	client := &http.Client{Timeout: 30 * time.Second}
	ask := func(method, path string, body interface{}) (reply, []byte, error) {
		var reader io.Reader
		if body != nil {
			text, _ := json.Marshal(body)
			reader = bytes.NewReader(text)
		}
		request, err := http.NewRequest(method, "http://"+host+":"+port+"/api/v1"+path, reader)
		if err != nil {
			return reply{}, nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json")
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			return reply{}, nil, refused("NETWORK_ERROR")
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		found, text, err := judged(text)
		if err == nil && response.StatusCode >= 300 {
			err = refused("HTTP_ERROR")
		}
		return found, text, err
	}
	flat := func(name, data interface{}, given *options) object {
		body := object{}
		text, _ := json.Marshal(given)
		json.Unmarshal(text, &body)
		if body == nil {
			body = object{}
		}
		body["name"], body["data"] = name, data
		return body
	}
	return func(call string, given []json.RawMessage) (interface{}, error) {
		first := url.PathEscape(text(given, 0))
		switch call {
		case "push":
			found, _, err := ask("POST", "/queues/"+first+"/jobs", flat(text(given, 1), anyOf(given, 2), optionsOf(given, 3)))
			return found.ID, err
		case "push_batch":
			bodies := []object{}
			for _, each := range entries(given, 1) {
				bodies = append(bodies, flat(each.Name, each.Data, each.Options))
			}
			found, _, err := ask("POST", "/queues/"+first+"/jobs", bodies)
			return found.IDs, err
		case "pull":
			path := "/queues/" + first + "/jobs"
			if count := number(given, 1); count > 1 {
				path += fmt.Sprintf("?count=%d", count)
			}
			found, _, err := ask("GET", path, nil)
			return several(found), err
		case "ack":
			var body interface{}
			if result := anyOf(given, 1); result != nil {
				body = object{"result": result}
			}
			_, _, err := ask("POST", "/jobs/"+first+"/ack", body)
			return nil, err
		case "fail":
			found, _, err := ask("POST", "/jobs/"+first+"/fail", object{"error": text(given, 1)})
			return object{"retry": found.Retry, "next_attempt_at": found.NextAttemptAt}, err
		case "progress":
			_, _, err := ask("POST", "/jobs/"+first+"/progress", object{"progress": number(given, 1), "message": text(given, 2)})
			return nil, err
		case "cancel", "heartbeat":
			_, _, err := ask("POST", "/jobs/"+first+"/"+call, nil)
			return nil, err
		case "get_job":
			found, _, err := ask("GET", "/jobs/"+first, nil)
			return found.Job, unlessNotFound(err)
		case "list_queues":
			found, _, err := ask("GET", "/queues", nil)
			return found.Queues, err
		case "get_queue_stats":
			found, _, err := ask("GET", "/queues/"+first+"/stats", nil)
			return found.Counts, err
		case "get_dlq_jobs":
			found, _, err := ask("GET", fmt.Sprintf("/queues/%s/dlq?limit=%d", first, number(given, 1)), nil)
			return found.Jobs, err
		case "pause_queue", "resume_queue":
			_, _, err := ask("POST", "/queues/"+first+"/"+call[:len(call)-len("_queue")], nil)
			return nil, err
		case "create_schedule":
			_, _, err := ask("POST", "/schedules", anyOf(given, 0))
			return nil, err
		case "list_schedules":
			found, _, err := ask("GET", "/schedules", nil)
			return found.Schedules, err
		case "get_schedule":
			found, _, err := ask("GET", "/schedules/"+first, nil)
			return found.Schedule, unlessNotFound(err)
		case "delete_schedule":
			_, _, err := ask("DELETE", "/schedules/"+first, nil)
			return nil, err
		case "pause_schedule", "resume_schedule":
			_, _, err := ask("POST", "/schedules/"+first+"/"+call[:len(call)-len("_schedule")], nil)
			return nil, err
		case "health":
			found, _, err := ask("GET", "/health", nil)
			return object{"status": found.Status, "version": found.Version, "uptime_seconds": found.UptimeSeconds}, err
		}
		return nil, refused("no such call")
	}
}

func overTCP(host, port, token string) func(string, []json.RawMessage) (interface{}, error) {
	connection, err := net.DialTimeout("tcp", host+":"+port, 10*time.Second)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(connection)
	lines.Buffer(make([]byte, 64*1024), 1024*1024)
	ask := func(command object) (reply, []byte, error) {
		text, _ := json.Marshal(command)
		connection.Write(append(text, '\n'))
		if !lines.Scan() {
			return reply{}, nil, refused("CONNECTION_LOST")
		}
		return judged([]byte(lines.Text()))
	}
	var notLetIn error
	if token != "" {
		_, _, notLetIn = ask(object{"cmd": "auth", "token": token})
	}
	withOptions := func(command object, given *options) object {
		if given != nil {
			command["options"] = given
		}
		return command
	}
	return func(call string, given []json.RawMessage) (interface{}, error) {
		if notLetIn != nil {
			return nil, notLetIn
		}
		first := text(given, 0)
		switch call {
		case "push":
			command := object{"cmd": "push", "queue": first, "name": text(given, 1), "data": anyOf(given, 2)}
			found, _, err := ask(withOptions(command, optionsOf(given, 3)))
			return found.ID, err
		case "push_batch":
			jobs := []object{}
			for _, each := range entries(given, 1) {
				jobs = append(jobs, withOptions(object{"name": each.Name, "data": each.Data}, each.Options))
			}
			found, _, err := ask(object{"cmd": "push_batch", "queue": first, "jobs": jobs})
			return found.IDs, err
		case "pull":
			command := object{"cmd": "pull", "queue": first}
			if count := number(given, 1); count > 0 {
				command["count"] = count
			}
			found, _, err := ask(command)
			return several(found), err
		case "ack":
			command := object{"cmd": "ack", "id": first}
			if result := anyOf(given, 1); result != nil {
				command["result"] = result
			}
			_, _, err := ask(command)
			return nil, err
		case "ack_batch":
			var outcome acked
			_, text, err := ask(object{"cmd": "ack_batch", "items": anyOf(given, 0)})
			if err == nil {
				err = json.Unmarshal(text, &outcome)
			}
			return outcome, err
		case "fail":
			found, _, err := ask(object{"cmd": "fail", "id": first, "error": text(given, 1)})
			return object{"retry": found.WillRetry, "next_attempt_at": found.NextAttemptAt}, err
		case "progress":
			_, _, err := ask(object{"cmd": "progress", "id": first, "progress": number(given, 1), "message": text(given, 2)})
			return nil, err
		case "cancel", "heartbeat":
			_, _, err := ask(object{"cmd": call, "id": first})
			return nil, err
		case "get_job":
			found, _, err := ask(object{"cmd": "get", "id": first})
			return found.Job, unlessNotFound(err)
		case "get_queue_stats":
			found, _, err := ask(object{"cmd": "stats", "queue": first})
			return found.Counts, err
		case "create_schedule":
			command := object{"cmd": "schedule_create", "job_data": object{}}
			json.Unmarshal(given[0], &command)
			_, _, err := ask(command)
			return nil, err
		case "list_schedules":
			found, _, err := ask(object{"cmd": "schedule_list"})
			return found.Schedules, err
		case "get_schedule":
			found, _, err := ask(object{"cmd": "schedule_get", "name": first})
			return found.Schedule, unlessNotFound(err)
		case "delete_schedule", "pause_schedule", "resume_schedule":
			_, _, err := ask(object{"cmd": "schedule_" + call[:len(call)-len("_schedule")], "name": first})
			return nil, err
		}
		return nil, refused("no such call")
	}
}

type entry struct {
	Name    string      `json:"name"`
	Data    interface{} `json:"data"`
	Options *options    `json:"options"`
}

func several(found reply) []job {
	if found.Jobs != nil {
		return found.Jobs
	}
	if found.Job != nil {
		return []job{*found.Job}
	}
	return []job{}
}

func unlessNotFound(err error) error {
	if err == refused("NOT_FOUND") {
		return nil
	}
	return err
}

func take(given []json.RawMessage, place int, into interface{}) {
	if place < len(given) {
		json.Unmarshal(given[place], into)
	}
}

func text(given []json.RawMessage, place int) (found string) { take(given, place, &found); return }
func number(given []json.RawMessage, place int) (found int)  { take(given, place, &found); return }
func anyOf(given []json.RawMessage, place int) (found interface{}) {
	take(given, place, &found)
	return
}
func optionsOf(given []json.RawMessage, place int) (found *options) {
	take(given, place, &found)
	return
}
func entries(given []json.RawMessage, place int) (found []entry) { take(given, place, &found); return }

func main() {
	token := ""
	if len(os.Args) > 4 {
		token = os.Args[4]
	}
	open := overHTTP
	if os.Args[1] == "tcp" {
		open = overTCP
	}
	call := open(os.Args[2], os.Args[3], token)
	calls := bufio.NewScanner(os.Stdin)
	calls.Buffer(make([]byte, 64*1024), 8*1024*1024)
	for calls.Scan() {
		var given []json.RawMessage
		json.Unmarshal(calls.Bytes(), &given)
		value, err := call(text(given, 0), given[1:])
		answer := object{"value": value}
		if err != nil {
			answer = object{"error": err.Error()}
		}
		line, _ := json.Marshal(answer)
		fmt.Println(string(line))
	}
}
