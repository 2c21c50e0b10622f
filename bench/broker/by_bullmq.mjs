// BullMQ: jobs added in batches of 50, run by a worker that does nothing. Prints produce, consume and end to end per second.
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

const jobs = Number(process.argv[2]);
const batch = 50;
const connect = () => new Redis({ host: "127.0.0.1", port: 6379, maxRetriesPerRequest: null });
const connections = [connect(), connect()];
const queue = new Queue("pyqueue-bench", { connection: connections[0] });
await queue.obliterate({ force: true });

const push = (count) =>
  queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: "bench", data: { n }, opts: { removeOnComplete: true } })));
const now = () => performance.now() / 1000;

let done = 0;
let wanted = 0;
let finish;
const allDone = (count) => new Promise((resolve) => { done = 0; wanted = count; finish = resolve; });
const makeWorker = () => {
  const worker = new Worker("pyqueue-bench", async () => {}, { connection: connections[1], concurrency: batch });
  worker.on("completed", () => { if (++done === wanted) finish(); });
  return worker;
};

const started = now();
for (let i = 0; i < jobs / batch; i++) await push(batch);
const produced = now();
let all = allDone(jobs);
const worker = makeWorker();
await all;
const consumed = now();
for (let i = 0; i < jobs / batch; i++) {
  all = allDone(batch);
  await push(batch);
  await all;
}
const ended = now();
await worker.close();
await queue.obliterate({ force: true });
await queue.close();
connections.forEach((each) => each.disconnect());
console.log(JSON.stringify([jobs / (produced - started), jobs / (consumed - produced), jobs / (ended - consumed)]));
