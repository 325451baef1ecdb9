// Publishers, which write down what was answered, and subscribers, which write down what they saw.
import http from 'node:http';
import { SseStream } from '../black/lib/sse.mjs';
import { sleep } from '../black/lib/wait.mjs';
import { covers } from './judge.mjs';

const ANSWER_MS = 8000;
const HEARTBEAT_MS = 1000;

// A POST; {status, json, headers}. Rejects if it was not answered: error.sent says whether anything went out.
function post(agent, node, path, body, headers) {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const request = http.request({
      agent, host: '127.0.0.1', port: node.port, method: 'POST', path,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers },
    });
    const timer = setTimeout(() => request.destroy(new Error('no answer in time')), ANSWER_MS);
    request.on('error', (error) => {
      clearTimeout(timer);
      error.sent = error.code !== 'ECONNREFUSED';
      reject(error);
    });
    request.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', () => {});
      response.on('end', () => {
        clearTimeout(timer);
        const said = Buffer.concat(chunks).toString('utf8');
        let json;
        try {
          json = JSON.parse(said);
        } catch {
          // an answer that was cut off
        }
        resolve({ status: response.statusCode, headers: response.headers, json, text: said });
      });
      response.on('close', () => {
        clearTimeout(timer);
        if (!response.complete) reject(Object.assign(new Error('half an answer'), { sent: true }));
      });
    });
    request.end(text);
  });
}

// Publishes at its own pace until the round is calm. Some of its requests have a key and are sent again until they are answered.
export class Publisher {
  constructor(round, name, random, { topics, pauseMs }) {
    Object.assign(this, { round, name, random, topics, pauseMs });
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    this.requests = 0;
  }

  async run() {
    while (!this.round.calm) {
      await this.#one();
      await sleep(this.random.between(0, 2 * this.pauseMs));
    }
    this.agent.destroy();
  }

  async #one() {
    const { random, round } = this;
    const topic = random.pick(this.topics);
    const size = random.pick([1, 1, 1, 1, 2, 5]);
    const batch = [];
    for (let i = 0; i < size; i++) {
      const topics = random.chance(0.1) ? random.some(round.topics, 2) : [topic];
      batch.push({ n: round.nextN(), topics });
    }
    const key = random.chance(0.3) ? `${this.name}-${++this.requests}` : undefined;
    await this.publish(batch, { key, tries: key ? 6 : 1 });
  }

  // Whether it was acknowledged in the end.
  async publish(batch, { key, tries }) {
    const { random, round } = this;
    const body = batch.map(({ n, topics }) => ({ type: 'fault.counted', payload: { n }, topics }));
    const headers = key ? { 'idempotency-key': key } : {};
    let unknown = false;
    for (let attempt = 0; attempt < tries; attempt++) {
      if (attempt > 0) await sleep(random.between(20, 300));
      const node = round.anyNode(random);
      if (!node) continue;
      let answer;
      try {
        answer = await post(this.agent, node, `/api/topics/${encodeURIComponent(batch[0].topics[0])}/events`, body, headers);
      } catch (error) {
        unknown ||= error.sent;
        continue;
      }
      if (answer.status === 201 && answer.json) {
        batch.forEach(({ n, topics }, i) => round.published({ n, topics, outcome: 'acked', id: answer.json.ids[i] }));
        return true;
      }
      if (answer.status !== 503 && answer.status !== 201) {
        round.problem(`a publish was answered ${answer.status}: ${answer.text.slice(0, 200)}`);
        return false;
      }
      if (answer.status === 503 && !answer.headers['retry-after']) round.problem('a 503 without Retry-After');
      unknown = true; // it may have been written
    }
    if (unknown) for (const { n, topics } of batch) round.published({ n, topics, outcome: 'unknown' });
    if (!key) await sleep(random.between(5, 50));
    return false;
  }
}

// Follows its topics for the whole round; whenever it is cut, or cuts itself, it resumes with its cursor on any node.
export class Follower {
  constructor(round, name, random, { patterns, earliest = false, patience }) {
    Object.assign(this, { round, name, random, patterns, earliest, patience });
    this.trace = [];
    this.cursor = null;
    this.marks = new Set();
    this.opened = false;
  }

  get query() {
    const since = this.earliest && this.cursor === null ? '&since=earliest' : '';
    return this.patterns.map((pattern) => `topic=${encodeURIComponent(pattern)}`).join('&') + since;
  }

  note(entry) {
    entry.t = this.round.now();
    this.trace.push(entry);
  }

  async run() {
    while (!this.round.over) {
      const node = this.round.anyNode(this.random);
      if (node) await this.#connection(node);
      // Now and then it stays away for so long that something is trimmed, or lost, behind its back.
      const away = !this.round.calm && this.random.chance(0.1) ? this.random.between(500, 4000) : this.random.between(5, 100);
      await sleep(away);
    }
  }

  async #connection(node) {
    const { random, round } = this;
    this.note({ k: 'connect', cursor: this.cursor, node: node.id });
    let left = random.between(1, this.patience);
    const endsAt = Date.now() + random.between(500, 15_000);
    const stream = new SseStream(node, this.query, {
      lastEventId: this.cursor ?? undefined,
      keep: false,
      onEvent: (entry, control) => {
        this.#take(entry, control);
        if (!control) left--;
      },
    });
    this.stream = stream;
    let bytes = 0;
    let heardAt = Date.now();
    let why;
    while (!why) {
      await Promise.race([stream.closed, sleep(100)]);
      if (stream.bytes !== bytes) {
        bytes = stream.bytes;
        heardAt = Date.now();
      }
      if (stream.ended) why = stream.complete ? 'the node ended it' : 'cut from outside';
      else if (round.over) why = 'the round is over';
      else if (stream.head && stream.head.status !== 200) why = `status ${stream.head.status}`;
      else if (Date.now() - heardAt > 2.5 * HEARTBEAT_MS) why = 'silent';
      else if (!round.calm && (left <= 0 || Date.now() > endsAt)) why = 'by chance';
    }
    stream.cut();
    if (stream.head && stream.head.status !== 200) {
      why = `status ${stream.head.status}`;
      if (stream.head.status < 500) round.problem(`${this.name}: a stream was answered ${stream.head.status} ${stream.errorBody}`);
      else round.refused++;
    }
    if (stream.lastId) this.cursor = stream.lastId;
    this.note({ k: 'cut', why });
    if (why === 'cut from outside' || why.startsWith('status')) await sleep(random.between(50, 300));
  }

  #take(entry, control) {
    if (!control) {
      const { n } = entry.data.payload;
      this.note({ k: 'event', id: entry.data.id, topic: entry.data.topic, n });
      if (this.round.marks.has(n)) this.marks.add(n);
    } else if (entry.type === 'weft.open') {
      this.note({ k: 'open', id: entry.id || null });
      this.opened = true;
    } else if (entry.type === 'weft.gap') {
      const { topic, after, next, reason } = entry.data;
      this.note({ k: 'gap', topic, after, next, reason });
    } else this.note({ k: 'note', type: entry.type });
  }

  follows(topics) {
    return topics.some((topic) => this.patterns.some((pattern) => covers(pattern, topic)));
  }
}
