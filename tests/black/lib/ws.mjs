// A WebSocket client on a bare socket, which sends whatever bytes a story wants to, and holds what it gets against RFC 6455.
import crypto from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { parseHead } from './head.mjs';
import { deadline, untilTold } from './wait.mjs';

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

// A client's frame. Everything that is wrong can be asked for.
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, key = crypto.randomBytes(4), length } = {}) {
  const data = Buffer.from(payload);
  const n = data.length;
  const form = length ?? (n < 126 ? 7 : n < 65536 ? 16 : 64);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  if (form === 7) head.push(n);
  else if (form === 16) head.push(126, n >> 8, n & 255);
  else head.push(127, 0, 0, 0, 0, (n >>> 24) & 255, (n >> 16) & 255, (n >> 8) & 255, n & 255);
  if (!mask) return Buffer.concat([Buffer.from(head), data]);
  head[1] |= 0x80;
  const masked = Buffer.from(data);
  for (let i = 0; i < n; i++) masked[i] ^= key[i % 4];
  return Buffer.concat([Buffer.from(head), key, masked]);
}

export function closePayload(code, reason = '') {
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
}

function ignore() {}

// Messages arrive in `all`; those with an id, or inside {"subscription", "event"}, in `events` and by subscription in `of`.
export class WebSocketStream {
  constructor(node, { path = '/ws', headers = {}, protocols = ['weft.v1'], key = crypto.randomBytes(16).toString('base64'), onEvent = ignore, keep = true, behind = '', secure = {} } = {}) {
    this.node = node;
    this.all = [];
    this.events = [];
    this.of = new Map();
    this.pings = 0;
    this.pongs = [];
    this.bytes = 0;
    this.answerPings = true;
    this.keep = keep;
    this.onEvent = onEvent;
    this.waiting = new Set();
    this.input = Buffer.alloc(0);
    this.key = key;
    this.requests = 0;
    const fields = { Host: `127.0.0.1:${node.port}`, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, ...headers };
    if (protocols.length > 0) fields['Sec-WebSocket-Protocol'] = protocols.join(', ');
    const lines = [`GET ${path} HTTP/1.1`];
    for (const [name, value] of Object.entries(fields)) if (value !== null) lines.push(`${name}: ${value}`);
    const to = { port: node.port, host: '127.0.0.1' };
    this.socket = node.ca ? tls.connect({ ...to, ca: node.ca, ...secure }) : net.connect(to);
    this.socket.on(node.ca ? 'secureConnect' : 'connect', () => {
      this.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      if (behind.length > 0) this.socket.write(behind);
    });
    this.socket.on('data', (data) => this.#feed(data));
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        this.ended = true;
        this.#wake();
        resolve();
      });
    });
  }

  #wake() {
    for (const check of [...this.waiting]) check();
  }

  #feed(data) {
    this.bytes += data.length;
    this.input = this.input.length === 0 ? data : Buffer.concat([this.input, data]);
    if (!this.head) {
      const end = this.input.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = parseHead(this.input.subarray(0, end).toString('latin1'));
      this.input = this.input.subarray(end + 4);
    }
    if (this.head.status === 101) while (this.#frame());
    this.#wake();
  }

  #frame() {
    const b = this.input;
    if (b.length < 2) return false;
    let n = b[1] & 127;
    let at = 2;
    if (n === 126) {
      if (b.length < 4) return false;
      n = b.readUInt16BE(2);
      at = 4;
      if (n < 126) throw new Error('a length is not written in the shortest way');
    } else if (n === 127) {
      if (b.length < 10) return false;
      n = Number(b.readBigUInt64BE(2));
      at = 10;
      if (n < 65536) throw new Error('a length is not written in the shortest way');
    }
    if ((b[0] & 0xf0) !== 0x80) throw new Error(`first byte ${b[0]}: fragmented, or a reserved bit`);
    if (b[1] & 0x80) throw new Error('a server frame is masked');
    if (b.length < at + n) return false;
    const payload = b.subarray(at, at + n);
    this.input = b.subarray(at + n);
    if (this.closeCode !== undefined) throw new Error('a frame after the close frame');
    this.#take(b[0] & 15, payload);
    return true;
  }

  #take(opcode, payload) {
    if (opcode === TEXT) {
      this.#message(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    } else if (opcode === PING) {
      this.pings++;
      if (this.answerPings) this.frame(PONG, payload);
    } else if (opcode === PONG) {
      this.pongs.push(payload.toString());
    } else if (opcode === CLOSE) {
      this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.closeReason = payload.subarray(2).toString();
      if (!this.saidClose) this.close(this.closeCode);
    } else {
      throw new Error(`opcode ${opcode}`);
    }
  }

  #message(text) {
    const data = JSON.parse(text);
    const name = data.event !== undefined ? data.subscription : data.id !== undefined ? '' : undefined;
    if (name === undefined || this.keep) this.all.push(data);
    if (name === undefined) {
      this.onEvent(data, undefined);
      return;
    }
    const event = data.event ?? data;
    if (!this.of.has(name)) this.of.set(name, []);
    if (this.keep) {
      this.events.push(event);
      this.of.get(name).push(event);
    }
    this.onEvent(event, name, text);
  }

  raw(bytes) {
    return this.socket.write(bytes);
  }

  frame(opcode, payload, options) {
    return this.socket.write(frame(opcode, payload, options));
  }

  // A value is sent as JSON, text as it is.
  send(message) {
    return this.frame(TEXT, typeof message === 'string' ? message : JSON.stringify(message));
  }

  close(code = 1000, reason = '') {
    this.saidClose = true;
    this.frame(CLOSE, code === 1005 ? '' : closePayload(code, reason));
  }

  // Cuts the connection without a word.
  cut() {
    this.socket.destroy();
  }

  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  summary() {
    const last = this.all.at(-1);
    return `${this.all.length} messages, the last one ${last ? JSON.stringify(last).slice(0, 200) : '(none)'}; close ${this.closeCode} ${this.closeReason}`;
  }

  // Waits until look(this) returns something true; fails when the socket ends before.
  until(look, options) {
    return untilTold(this, 'socket', look, options);
  }

  async open() {
    await this.until(() => this.head, { what: 'a response head' });
    if (this.head.status !== 101) throw new Error(`handshake: ${this.head.status} ${this.input}`);
    return this;
  }

  // Sends an operation with a request of its own and waits for the answer, whatever it is.
  async ask(op, fields = {}, options = {}) {
    const request = `r${++this.requests}`;
    this.send({ op, request, ...fields });
    return this.answer(request, options);
  }

  answer(request, options = {}) {
    return this.until(() => this.all.find((m) => m.request === request), { what: `the answer to ${request}`, ...options });
  }

  // The same, and it has to be good.
  async ok(op, fields) {
    const answer = await this.ask(op, fields);
    if (answer.type !== 'weft.ok') throw new Error(`${op}: ${JSON.stringify(answer)}`);
    return answer;
  }

  // Subscribes and waits for weft.open.
  async subscribe(topics, fields = {}) {
    const name = fields.subscription ?? '';
    const before = this.control('weft.open', name).length;
    await this.ok('subscribe', { topics: [topics].flat(), ...fields });
    return this.until(() => this.control('weft.open', name)[before], { what: 'weft.open' });
  }

  control(type, subscription) {
    return this.all.filter((m) => m.type === type && m.id === undefined && (subscription === undefined || m.subscription === subscription));
  }

  waitControl(type, n = 1, options = {}) {
    return this.until(() => this.control(type)[n - 1], { what: `${type} number ${n}`, ...options });
  }

  take(n, name, options = {}) {
    const list = () => (name === undefined ? this.events : this.of.get(name) ?? []);
    return this.until(() => (list().length >= n ? list() : null), { what: `${n} events`, ...options });
  }

  // Waits for the end and returns how it was closed.
  async ending(options = {}) {
    await deadline(this.closed, { what: `the end of the socket; ${this.summary()}`, ...options });
    return { code: this.closeCode, reason: this.closeReason };
  }
}
