// Those who must not notice: many subscribers and a steady publisher in a thread of their own, while a story does its worst to the node.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { deadline, QUICK, until } from './wait.mjs';

export class Healthy {
  // sse, ws: how many of each. rate: events a second.
  constructor(node, { sse = QUICK ? 80 : 450, ws = node.ca ? 0 : QUICK ? 20 : 50, rate = 50, topic = 'steady', token } = {}) {
    this.size = sse + ws;
    this.answers = [];
    this.waiting = [];
    this.thread = new Worker(new URL('./healthy-thread.mjs', import.meta.url), { workerData: { port: node.port, ca: node.ca, sse, ws, rate, topic, token } });
    this.thread.on('message', (message) => (this.waiting.length > 0 ? this.waiting.shift()[0](message) : this.answers.push(message)));
    this.thread.on('error', (error) => {
      this.error = error;
      for (const [, reject] of this.waiting.splice(0)) reject(error);
    });
  }

  #next(what, ms = 30_000) {
    if (this.error) throw this.error;
    if (this.answers.length > 0) return this.answers.shift();
    return deadline(new Promise((resolve, reject) => this.waiting.push([resolve, reject])), { what, ms });
  }

  ready() {
    return this.#next('all healthy subscribers to be there');
  }

  async #ask(message) {
    this.thread.postMessage(message);
    return this.#next(JSON.stringify(message));
  }

  phase(phase) {
    return this.#ask({ phase });
  }

  // Until everybody has had so many events more.
  async enjoy(n) {
    const from = (await this.#ask({ count: true })).published;
    await until(async () => (await this.#ask({ count: true })).least >= from + n, { what: `${n} events more for everybody`, ms: 60_000, every: 50 });
  }

  // Everything that was published has come; what it was like.
  async finish() {
    this.thread.postMessage({ quiet: true });
    await until(async () => {
      const { published, least } = await this.#ask({ count: true });
      return least >= published;
    }, { what: 'everybody to have everything', ms: 60_000, every: 50 }).catch((error) => (this.late = error));
    const { report } = await this.#ask({ finish: true });
    return report;
  }

  end() {
    return this.thread.terminate();
  }
}

// Does what abuse does beside healthy subscribers. They get everything, once, in order, and stay; what it cost them is only told.
export async function undisturbed(w, node, abuse, options = {}) {
  const healthy = new Healthy(node, options);
  w.atEnd(() => healthy.end());
  await healthy.ready();
  await healthy.enjoy(40);
  await healthy.phase('abused');
  await abuse(healthy);
  await healthy.enjoy(20);
  const report = await healthy.finish();
  const { calm, abused } = report.latencies;
  const ms = (value) => value.toFixed(1);
  w.note(`${healthy.size} healthy subscribers, ${report.published} events; p50 ${ms(calm.p50)} -> ${ms(abused.p50)} ms, p99 ${ms(calm.p99)} -> ${ms(abused.p99)} ms (x${(abused.p99 / calm.p99).toFixed(2)}), max ${ms(abused.max)} ms`);
  assert.deepEqual(report.problems, [], 'somebody noticed');
  assert.deepEqual([report.lost, report.repeated, report.ended, report.refused], [0, 0, 0, 0]);
  assert.equal(report.answered, report.published);
  assert.equal(healthy.late, undefined);
  return report;
}
