// The thread behind healthy.mjs: a publisher that writes an event every 1000/rate ms, and many subscribers that hold each event
// against the one before. Both ends are here, so one clock says how long an event took.
import net from 'node:net';
import tls from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocketStream } from './ws.mjs';

const { port, ca, sse, ws, rate, topic, token } = workerData;
const host = '127.0.0.1';
const auth = token ? `Authorization: Bearer ${token}\r\n` : '';
const problems = [];
const report = { lost: 0, repeated: 0, ended: 0, refused: 0, latencies: {} };
let phase = 'calm';
let published = 0;
let answered = 0;
let slowest = 0; // subscriber with the fewest events
const subscribers = [];

function problem(text) {
  if (problems.length < 20) problems.push(text);
}

function dial() {
  const socket = ca ? tls.connect({ port, host, ca }) : net.connect({ port, host });
  socket.setNoDelay(true);
  socket.on('error', () => {});
  return socket;
}

// What one subscriber has seen.
class Seen {
  constructor(name) {
    this.name = name;
    this.last = 0;
    this.over = false;
    subscribers.push(this);
  }

  take(n, t) {
    if (n > this.last + 1) {
      report.lost += n - this.last - 1;
      problem(`${this.name}: ${n} after ${this.last}`);
    } else if (n <= this.last) {
      report.repeated++;
      problem(`${this.name}: ${n} again, after ${this.last}`);
    }
    this.last = Math.max(this.last, n);
    (report.latencies[phase] ??= []).push(performance.now() - t);
  }

  end() {
    if (this.over) return;
    report.ended++;
    problem(`${this.name}: disconnected after ${this.last}`);
  }
}

function subscribeSse(i) {
  const seen = new Seen(`sse ${i}`);
  const socket = dial();
  let rest = '';
  let opened;
  const ready = new Promise((resolve) => (opened = resolve));
  socket.on(ca ? 'secureConnect' : 'connect', () => socket.write(`GET /api/events?topic=${topic} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n${auth}\r\n`));
  socket.on('data', (data) => {
    rest += data.toString('latin1');
    const end = rest.lastIndexOf('\n');
    if (end < 0) return;
    const text = rest.slice(0, end);
    rest = rest.slice(end + 1);
    if (text.includes('event: weft.')) {
      if (text.includes('event: weft.open')) opened();
      for (const [, what] of text.matchAll(/event: weft\.(gap|moved|closed|degraded|expired)/g)) problem(`${seen.name}: weft.${what}`);
    }
    for (const [, n, t] of text.matchAll(/^data: .*"payload":\{"n":(\d+),"t":([\d.]+)\}/gm)) seen.take(Number(n), Number(t));
  });
  socket.on('close', () => seen.end());
  seen.socket = socket;
  return ready;
}

async function subscribeWs(i) {
  const seen = new Seen(`ws ${i}`);
  const stream = new WebSocketStream({ port }, {
    keep: false,
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    onEvent(event, name) {
      if (name !== undefined) seen.take(event.payload.n, event.payload.t);
      else if (/^weft\.(gap|moved|closed|degraded|expired|error)$/.test(event.type)) problem(`${seen.name}: ${JSON.stringify(event)}`);
    },
  });
  stream.closed.then(() => seen.end());
  seen.socket = stream.socket;
  await stream.open();
  await stream.subscribe(topic);
}

let publisher;
let timer;
function publish() {
  const body = JSON.stringify({ type: 'steady', payload: { n: published + 1, t: Number(performance.now().toFixed(3)) } });
  published++;
  publisher.write(`POST /api/topics/${topic}/events HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${auth}Content-Length: ${body.length}\r\n\r\n${body}`);
}

function startPublisher() {
  publisher = dial();
  let rest = '';
  publisher.on('data', (data) => {
    rest += data.toString('latin1');
    for (let at; (at = rest.indexOf('\r\n\r\n')) >= 0;) {
      const length = Number(/content-length: (\d+)/i.exec(rest.slice(0, at))?.[1] ?? 0);
      if (rest.length < at + 4 + length) return;
      if (rest.startsWith('HTTP/1.1 201')) {
        answered++;
      } else {
        report.refused++;
        problem(`publisher: ${rest.slice(0, 300)}`);
      }
      rest = rest.slice(at + 4 + length);
    }
  });
  publisher.on('close', () => problem('publisher: disconnected'));
  timer = setInterval(publish, 1000 / rate);
}

function least() {
  slowest = published;
  for (const one of subscribers) slowest = Math.min(slowest, one.over ? published : one.last);
  return slowest;
}

function quantiles(list) {
  const sorted = Float64Array.from(list).sort();
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

function finish() {
  for (const one of subscribers) {
    one.over = true;
    one.socket.destroy();
  }
  publisher.removeAllListeners('close');
  publisher.destroy();
  for (const [name, list] of Object.entries(report.latencies)) report.latencies[name] = quantiles(list);
  parentPort.postMessage({ report: { ...report, published, answered, problems } });
  parentPort.close();
}

parentPort.on('message', (message) => {
  if (message.phase) {
    phase = message.phase;
    parentPort.postMessage({ phase });
  } else if (message.count) {
    parentPort.postMessage({ published, least: least() });
  } else if (message.quiet) {
    clearInterval(timer);
  } else if (message.finish) {
    finish();
  }
});

await Promise.all([
  ...Array.from({ length: sse }, (_, i) => subscribeSse(i)),
  ...Array.from({ length: ws }, (_, i) => subscribeWs(i)),
]);
startPublisher();
parentPort.postMessage({ ready: true });
