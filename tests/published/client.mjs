// Asks a server as RustQueue's published Node clients do: fetch, and lines over a socket whose replies are matched in order.
// Usage: node client.mjs http|tcp HOST PORT [TOKEN]. Reads calls as [name, argument, …], one JSON line each; writes {value} or {error}.
import net from "node:net";
import readline from "node:readline";

const [transport, host, port, token] = process.argv.slice(2);

class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

function judged(reply) {
  if (reply.ok === false) throw new Refused(reply.error ? reply.error.code : "UNKNOWN_ERROR");
  return reply;
}

async function orNull(promise, key) {
  try {
    return (await promise)[key];
  } catch (error) {
    if (error.code === "NOT_FOUND") return null;
    throw error;
  }
}

const several = (reply) => reply.jobs || (reply.job ? [reply.job] : []);

function overHttp() {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;

  async function ask(method, path, body) {
    const request = { method, headers: { ...headers } };
    if (body !== undefined) request.body = JSON.stringify(body);
    const response = await fetch(`http://${host}:${port}/api/v1${path}`, request);
    let reply;
    try {
      reply = await response.json();
    } catch {
      throw new Refused("PARSE_ERROR");
    }
    judged(reply);
    if (!response.ok) throw new Refused("HTTP_ERROR");
    return reply;
  }

  const [get, post] = [(path) => ask("GET", path), (path, body) => ask("POST", path, body)];
  const jobs = (queue) => `/queues/${encodeURIComponent(queue)}/jobs`;
  const job = (id, verb = "") => `/jobs/${encodeURIComponent(id)}${verb}`;
  const rule = (name, verb = "") => `/schedules/${encodeURIComponent(name)}${verb}`;
  return {
    push: async (queue, name, data, options) => (await post(jobs(queue), { name, data, ...options })).id,
    push_batch: async (queue, entries) =>
      (await post(jobs(queue), entries.map(({ name, data, options }) => ({ name, data, ...options })))).ids,
    pull: async (queue, count) => several(await get(jobs(queue) + (count > 1 ? `?count=${count}` : ""))),
    ack: async (id, result) => void (await post(job(id, "/ack"), result === undefined ? undefined : { result })),
    fail: async (id, error) => {
      const reply = await post(job(id, "/fail"), { error });
      return { retry: reply.retry, next_attempt_at: reply.next_attempt_at ?? null };
    },
    cancel: async (id) => void (await post(job(id, "/cancel"))),
    heartbeat: async (id) => void (await post(job(id, "/heartbeat"))),
    progress: async (id, progress, message) => void (await post(job(id, "/progress"), { progress, message })),
    get_job: (id) => orNull(get(job(id)), "job"),
    list_queues: async () => (await get("/queues")).queues,
    get_queue_stats: async (queue) => (await get(`/queues/${encodeURIComponent(queue)}/stats`)).counts,
    get_dlq_jobs: async (queue, limit) => (await get(`/queues/${encodeURIComponent(queue)}/dlq?limit=${limit}`)).jobs,
    create_schedule: async (schedule) => void (await post("/schedules", schedule)),
    list_schedules: async () => (await get("/schedules")).schedules,
    get_schedule: (name) => orNull(get(rule(name)), "schedule"),
    delete_schedule: async (name) => void (await ask("DELETE", rule(name))),
    pause_schedule: async (name) => void (await post(rule(name, "/pause"))),
    resume_schedule: async (name) => void (await post(rule(name, "/resume"))),
    health: () => get("/health"),
  };
}

function overTcp() {
  const waiting = [];
  let text = "";
  const socket = net.connect(Number(port), host);
  socket.setEncoding("utf-8");
  socket.on("data", (chunk) => {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines.filter((each) => each.trim())) waiting.shift()?.(JSON.parse(line));
  });
  socket.on("close", () => waiting.splice(0).forEach((answer) => answer({ ok: false, error: { code: "CONNECTION_LOST" } })));

  const send = async (command) => {
    const reply = new Promise((resolve) => waiting.push(resolve));
    socket.write(JSON.stringify(command) + "\n", "utf-8");
    return judged(await reply);
  };
  const ready = token ? send({ cmd: "auth", token }) : Promise.resolve();
  ready.catch(() => undefined);
  const ask = async (command) => {
    await ready;
    return send(command);
  };
  return {
    push: async (queue, name, data, options) => (await ask({ cmd: "push", queue, name, data, options })).id,
    push_batch: async (queue, jobs) => (await ask({ cmd: "push_batch", queue, jobs })).ids,
    pull: async (queue, count) => several(await ask({ cmd: "pull", queue, count })),
    ack: async (id, result) => void (await ask({ cmd: "ack", id, result })),
    ack_batch: async (items) => {
      const { ok, acked, failed, results } = await ask({ cmd: "ack_batch", items });
      return { ok, acked, failed, results };
    },
    fail: async (id, error) => {
      const reply = await ask({ cmd: "fail", id, error });
      return { retry: reply.will_retry, next_attempt_at: reply.next_attempt_at ?? null };
    },
    cancel: async (id) => void (await ask({ cmd: "cancel", id })),
    heartbeat: async (id) => void (await ask({ cmd: "heartbeat", id })),
    progress: async (id, progress, message) => void (await ask({ cmd: "progress", id, progress, message })),
    get_job: (id) => orNull(ask({ cmd: "get", id }), "job"),
    get_queue_stats: async (queue) => (await ask({ cmd: "stats", queue })).counts,
    create_schedule: async (schedule) => void (await ask({ cmd: "schedule_create", job_data: {}, ...schedule })),
    list_schedules: async () => (await ask({ cmd: "schedule_list" })).schedules,
    get_schedule: (name) => orNull(ask({ cmd: "schedule_get", name }), "schedule"),
    delete_schedule: async (name) => void (await ask({ cmd: "schedule_delete", name })),
    pause_schedule: async (name) => void (await ask({ cmd: "schedule_pause", name })),
    resume_schedule: async (name) => void (await ask({ cmd: "schedule_resume", name })),
  };
}

const calls = transport === "tcp" ? overTcp() : overHttp();
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: (await calls[name](...given)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.code ?? String(error) }));
  }
}
process.exit(0);
