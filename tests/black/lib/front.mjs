// What clients do behind a proxy: streams of a browser, followers that come back by themselves, a publisher that asks again; and
// nodes that are not. `front` is an Nginx or a Haproxy.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { Agent, fetch as undiciFetch } from 'undici';
import { H2Client } from './h2.mjs';
import { SseParser } from './sse.mjs';
import { deadline, sleep, until } from './wait.mjs';

export function browser(w, front) {
  const client = new H2Client(front.origin, front.ca);
  w.atEnd(() => client.close());
  return client;
}

function eventSource(w, front, query) {
  const ways = { agent: undefined };
  const renew = () => {
    ways.agent?.destroy();
    ways.agent = new Agent({ allowH2: true, connect: { ca: front.ca }, bodyTimeout: 0 });
  };
  renew();
  const source = new EventSource(`${front.origin}/api/events?${query}`, {
    fetch: (url, init) => undiciFetch(url, { ...init, dispatcher: ways.agent }),
  });
  w.atEnd(() => {
    source.close();
    return ways.agent.destroy();
  });
  return { source, cut: renew };
}

export function curl(w, front, args) {
  return w.program('curl', ['-sN', '--http2', '--cacert', front.pair.ca, '-i', ...args]);
}

// Comes back by itself, as EventSource does: the same topic, its last id, until it has everything.
class Follower {
  constructor(w, front) {
    Object.assign(this, { w, front, got: [], opened: 0, problems: [] });
  }

  arrived(data) {
    if (data.payload) this.got.push(data.payload.n);
    else if (data.stream !== undefined) this.opened++;
    else if (data.after !== undefined) this.problems.push(`a gap ${JSON.stringify(data)}`);
  }
}

export class ByEventSource extends Follower {
  start() {
    const { source, cut } = eventSource(this.w, this.front, 'topic=t&named=0');
    this.cut = cut;
    source.onmessage = (message) => this.arrived(JSON.parse(message.data));
    source.onerror = (error) => {
      if (source.readyState === EventSource.CLOSED) this.problems.push(`EventSource gave up: ${error.code} ${error.message}`);
    };
  }
}

export class ByHttp2 extends Follower {
  start() {
    this.client = browser(this.w, this.front);
    const stream = this.client.follow('topic=t', {
      lastEventId: this.last,
      onEvent: (entry) => {
        if (entry.id !== undefined) this.last = entry.id;
        this.arrived(entry.data);
      },
    });
    this.cut = () => this.client.cut();
    stream.closed.then(async () => {
      if (stream.head && stream.head.status !== 200) this.problems.push(`status ${stream.head.status}`);
      this.client.cut();
      await sleep(50);
      if (!this.over) this.start();
    });
  }
}

export class ByCurl extends Follower {
  start() {
    const last = this.last === undefined ? [] : ['-H', `last-event-id: ${this.last}`];
    const program = curl(this.w, this.front, [`${this.front.origin}/api/events?topic=t`, '-H', 'accept: text/event-stream', ...last]);
    const parser = new SseParser((entry) => {
      if (entry.id !== undefined) this.last = entry.id;
      this.arrived(JSON.parse(entry.text));
    });
    program.watchers.add((line) => {
      if (line?.stream !== 'stdout') return;
      if (/^HTTP\//.test(line.text) && !/^HTTP\/2 200/.test(line.text)) this.problems.push(line.text);
      parser.feed(`${line.text}\n`);
    });
    this.cut = () => program.kill();
    program.exited.then(async () => {
      await sleep(50);
      if (!this.over) this.start();
    });
  }
}

// npm's ws, with a subscription of its own cursor.
export class ByWebSocket extends Follower {
  start() {
    const socket = new WebSocket(`${this.front.origin.replace('https', 'wss')}/ws`, ['weft.v1'], { ca: this.front.ca });
    this.cut = () => socket.terminate();
    this.send = (message) => socket.send(JSON.stringify(message));
    socket.on('open', () => this.send({ op: 'subscribe', topics: ['t'], ...(this.last === undefined ? {} : { cursor: this.last }) }));
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      this.last = message.id ?? message.cursor ?? this.last;
      if (message.type === 'weft.error') this.problems.push(String(text));
      this.arrived(message);
      this.heard?.(message);
    });
    socket.on('unexpected-response', (_, answer) => {
      if (answer.statusCode !== 503) this.problems.push(`status ${answer.statusCode}`); // it asks again after any
      socket.terminate();
    });
    socket.on('error', () => {});
    socket.on('close', async () => {
      await sleep(50);
      if (!this.over) this.start();
    });
    this.w.atEnd(() => {
      this.over = true;
      socket.terminate();
    });
  }
}

// Publishes through the front, and asks again with the same key when it has no answer.
export class Publisher {
  constructor(w, front) {
    Object.assign(this, { w, front, published: 0, again: 0 });
  }

  async publish(list) {
    const first = list[0].payload.n;
    const headers = { 'content-type': 'application/json', 'idempotency-key': `batch-${first}` };
    await until(async () => {
      if (!this.client?.usable) this.client = browser(this.w, this.front);
      try {
        const answer = await this.client.send('POST', '/api/topics/t/events', { headers, body: JSON.stringify(list) });
        if (answer.status === 201) return true;
        assert.equal(answer.status, 503, answer.text);
      } catch (error) {
        if (error.code === 'ERR_ASSERTION') throw error;
        this.client.cut();
      }
      this.again++;
      return false;
    }, { what: `event ${first} to be taken`, ms: 30_000, every: 50 });
    this.published += list.length;
  }
}

// A node that takes requests and hangs up instead of answering.
export async function hangsUp(w) {
  const seen = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (data) => {
      seen.push(data.toString('latin1').split(' ')[0]);
      socket.destroy();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => server.close());
  return { port: server.address().port, seen };
}

// A node that agrees to every upgrade and then says again what it hears.
export async function upgrades(w) {
  const heads = [];
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (data) => {
      if (data.toString('latin1').includes(' /readyz ')) {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      heads.push(data.toString('latin1'));
      if (!/^upgrade: websocket/im.test(heads.at(-1))) {
        socket.destroy();
        return;
      }
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n');
      socket.on('data', (more) => socket.write(more));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: server.address().port, heads, through: (front, where) => upgrade(w, front, where) };
}

// Asks for an upgrade as a browser does, over HTTP/1.1; returns the head of the answer once three frames have come back.
async function upgrade(w, front, where) {
  const socket = tls.connect({ port: front.port, host: '127.0.0.1', ca: front.ca, ALPNProtocols: ['http/1.1'] });
  w.atEnd(() => socket.destroy());
  let text = '';
  let wake = () => {};
  for (const name of ['data', 'error', 'close']) {
    socket.on(name, (data) => {
      if (name === 'data') text += data.toString('latin1');
      wake();
    });
  }
  const hears = (pattern) => deadline(new Promise((resolve, reject) => {
    wake = () => {
      if (pattern.test(text)) resolve();
      else if (socket.destroyed) reject(new Error(`closed before ${pattern}: ${text}`));
    };
    wake();
  }), { what: `${pattern}` });
  socket.write(`GET ${where} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
    + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  await hears(/\r\n\r\n/);
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  for (let n = 1; n <= 3 && /^HTTP\/1.1 101/.test(head); n++) {
    socket.write(`frame ${n};`);
    await hears(new RegExp(`frame ${n};`));
  }
  return head;
}
