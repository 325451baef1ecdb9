// A TCP proxy in front of a Redis that breaks what passes through it, as it is told. It knows whole replies, and so
// can take away or keep back single messages of channels without harming the connection.
//
// What may be set at any time, for all connections or for one kind of them:
//   drop      chance that a message of a channel is not forwarded
//   late      {chance, ms}: the message comes so much later, behind others
//   delayMs   everything comes so much later, in order
//   slice     bytes go out 1 to 16 at a time
//   hole      nothing goes through and nothing is refused; what waits is lost with its connection when the hole ends
//   freeze    nothing goes through until the freeze ends, then everything does
// and done once: cut(), halfOpen(). `target` may change: new connections go there.
//
// Kinds are known by what the client says first: 'link' (a replica), 'sentinel', 'live' (it subscribes), 'node' (others).
import net from 'node:net';
import { RespSplitter, isMessage } from './resp.mjs';

const QUIET = { drop: 0, late: null, delayMs: 0, slice: false, hole: false, freeze: false };

export class Proxy {
  constructor(random, target) {
    this.random = random;
    this.target = target; // {port, host} or {path}
    this.rules = { ...QUIET };
    this.kinds = null; // null: the rules hold for every kind
    this.pairs = new Set();
    this.dropped = 0;
    this.delayed = 0;
    this.server = net.createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    this.server.on('error', () => {});
  }

  async listen(port = 0) {
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ port, host: '127.0.0.1' }, resolve);
    });
    this.port = this.server.address().port;
    return this;
  }

  // New rules; what they do not name is as if nothing were set.
  set(rules, kinds = null) {
    const held = this.rules.hole || this.rules.freeze;
    const hole = this.rules.hole;
    const before = this.kinds;
    this.rules = { ...QUIET, ...rules };
    this.kinds = kinds;
    for (const pair of this.pairs) {
      if (hole && (!before || before.includes(pair.kind)) && !this.rules.hole) pair.destroy();
      else if (held || this.rules.freeze || this.rules.hole) pair.turn();
    }
  }

  heal() {
    this.set({});
  }

  #of(kinds) {
    return [...this.pairs].filter((pair) => !kinds || kinds.includes(pair.kind));
  }

  cut(kinds = null) {
    for (const pair of this.#of(kinds)) pair.destroy();
  }

  // Redis's side ends, the client is not told; returns how to end the client's side too.
  halfOpen(kinds = null) {
    const pairs = this.#of(kinds);
    for (const pair of pairs) pair.loseServer();
    return () => pairs.forEach((pair) => pair.destroy());
  }

  rulesFor(kind) {
    return this.kinds && !this.kinds.includes(kind) ? QUIET : this.rules;
  }

  #accept(client) {
    const pair = new Pair(this, client);
    this.pairs.add(pair);
  }

  async close() {
    for (const pair of [...this.pairs]) pair.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

// One connection and its counterpart.
class Pair {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.kind = 'node';
    this.said = ''; // the beginning of what the client says
    this.splitter = new RespSplitter();
    this.timers = new Set();
    this.orphan = false;
    this.server = net.connect(proxy.target);
    for (const socket of [client, this.server]) {
      socket.setNoDelay?.(true);
      socket.on('error', () => this.destroy());
    }
    client.on('data', (data) => this.#fromClient(data));
    this.server.on('data', (data) => this.#fromServer(data));
    client.on('end', () => this.destroy());
    this.server.on('end', () => this.destroy());
    client.on('close', () => this.destroy());
    this.server.on('close', () => this.destroy());
    this.turn();
  }

  get rules() {
    return this.proxy.rulesFor(this.kind);
  }

  // Begins or ends to hold back, as the rules say now.
  turn() {
    const held = this.rules.hole || this.rules.freeze;
    for (const socket of [this.client, this.server]) {
      if (held) socket.pause();
      else socket.resume();
    }
  }

  // Looks at what the client says until it is known what it is.
  #classify(data) {
    if (this.kind === 'link' || this.said.length > 4096) return;
    this.said += data.toString('latin1');
    const before = this.kind;
    if (/\r\n(REPLCONF|PSYNC|SYNC)\r\n/i.test(this.said)) this.kind = 'link';
    else if (/\r\nsentinel-|__sentinel__/.test(this.said)) this.kind = 'sentinel';
    else if (/\r\nSUBSCRIBE\r\n/i.test(this.said)) this.kind = 'live';
    if (this.kind === before) return;
    if (this.kind === 'link') this.#write(this.client, this.splitter.rest()); // what follows are no replies
    this.turn();
  }

  #fromClient(data) {
    this.#classify(data);
    if (!this.orphan) this.#write(this.server, data);
  }

  #fromServer(data) {
    if (this.kind === 'link') {
      this.#write(this.client, data);
      return;
    }
    for (const reply of this.splitter.feed(data)) {
      const { drop, late } = this.rules;
      if (!isMessage(reply) || this.kind === 'sentinel') this.#write(this.client, reply);
      else if (drop > 0 && this.proxy.random.chance(drop)) this.proxy.dropped++;
      else if (late && this.proxy.random.chance(late.chance)) {
        this.proxy.delayed++;
        this.#after(late.ms, () => this.#write(this.client, reply));
      } else this.#write(this.client, reply);
    }
  }

  #after(ms, then) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      then();
    }, ms);
    this.timers.add(timer);
  }

  #write(socket, data) {
    if (data.length === 0) return;
    const { delayMs } = this.rules;
    if (delayMs > 0 || socket.queue?.length > 0) this.#queue(socket, data, delayMs);
    else this.#send(socket, data);
  }

  // In order, also when the delay has ended meanwhile.
  #queue(socket, data, delayMs) {
    socket.queue ??= [];
    socket.queue.push(data);
    this.#after(delayMs, () => this.#send(socket, socket.queue.shift()));
  }

  #send(socket, data) {
    if (socket.destroyed) return;
    if (!this.rules.slice) {
      socket.write(data);
      return;
    }
    // At most so many pieces, so that a long page does not take for ever.
    let at = 0;
    for (let n = 0; at < data.length && n < 256; n++) {
      const size = this.proxy.random.between(1, 16);
      socket.write(data.subarray(at, at + size));
      at += size;
    }
    if (at < data.length) socket.write(data.subarray(at));
  }

  loseServer() {
    this.orphan = true;
    this.server.removeAllListeners('end');
    this.server.removeAllListeners('close');
    this.server.destroy();
  }

  destroy() {
    if (!this.proxy.pairs.delete(this)) return;
    for (const timer of this.timers) clearTimeout(timer);
    this.client.destroy();
    this.server.destroy();
  }
}
