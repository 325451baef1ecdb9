// The functions of buckets against a plain model. Thousands of random schedules, each of some buckets that are made,
// changed, taken from (several at once, in batches), leased from and deleted while time passes and at times goes back: whatever
// the functions answer, and what the hashes hold afterwards, is what the model says. The model counts in BigInt and is told
// only the clock that Redis has used; time passes by moving at_ms back.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './lib/node.mjs';
import { Random } from './lib/random.mjs';
import { story } from './lib/story.mjs';
import { QUICK } from './lib/wait.mjs';

const M = 1_000_000n; // a token in the model's unit
const [MISSING, ENOUGH, SHORT, DRY, NEVER] = [0, 1, 2, 3, 4];

function library() {
  const folder = path.join(ROOT, 'pkg/redis/functions');
  return readdirSync(folder).filter((name) => name.endsWith('.lua')).sort()
    .map((name) => readFileSync(path.join(folder, name), 'utf8')).join('\n');
}

const least = (a, b) => (a < b ? a : b);
const ceilDiv = (a, b) => Number((a + b - 1n) / b);

// One bucket. rate: millionths of a token per ms.
class Model {
  constructor(capacity, rate, dry, flags, now) {
    Object.assign(this, { capacity: BigInt(capacity) * M, rate: BigInt(rate), dry, flags, at: now, would: 0 });
    this.tokens = this.capacity;
  }

  fill(now) {
    if (now > this.at) this.tokens = least(this.capacity, this.tokens + BigInt(now - this.at) * this.rate);
    this.at = now;
  }

  stands(tokens) {
    if (tokens * M <= this.tokens) return ENOUGH;
    if (this.dry) return DRY;
    return tokens * M > this.capacity ? NEVER : SHORT;
  }

  tell(stands, tokens) {
    const short = (stands === SHORT || stands === DRY) && tokens * M <= this.capacity;
    return [stands, Number(this.tokens / M), short ? ceilDiv(tokens * M - this.tokens, this.rate) : 0,
      ceilDiv(this.capacity - this.tokens, this.rate), Number(this.capacity / M), Number(this.rate), this.flags];
  }
}

// All of a request or nothing. buckets: those it names, undefined for one that is not there.
function modelTake(items, now) {
  for (const { bucket } of items) bucket?.fill(now);
  const stands = items.map(({ bucket, tokens }) => (bucket ? bucket.stands(BigInt(tokens)) : MISSING));
  const all = stands.every((s) => s === ENOUGH || s === DRY);
  return [all ? 1 : 0, ...items.flatMap(({ bucket, tokens }, i) => {
    if (!bucket) return [MISSING, 0, 0, 0, 0, 0, 0];
    if (all && stands[i] === ENOUGH) bucket.tokens -= BigInt(tokens) * M;
    if (all && stands[i] === DRY) bucket.would += 1;
    return bucket.tell(stands[i], BigInt(tokens));
  })];
}

function modelLease(bucket, { back, would, wanted }, now) {
  if (!bucket) return [0, [MISSING, 0, 0, 0, 0, 0, 0]];
  bucket.fill(now);
  bucket.tokens = least(bucket.capacity, bucket.tokens + BigInt(back) * M);
  const got = least(BigInt(wanted), bucket.tokens / M);
  bucket.tokens -= got * M;
  bucket.would += would;
  return [Number(got), bucket.tell(bucket.stands(1n), 1n)];
}

class Schedule {
  constructor(redis, seed, n) {
    this.redis = redis;
    this.seed = seed;
    this.random = new Random(seed);
    this.names = ['a', 'b', 'c', 'd'].map((name) => `${n}.${name}`);
    this.models = {};
    this.done = []; // for whoever reads a failure
  }

  key(name) {
    return `weft:bucket:{${name}}`;
  }

  pick(list) {
    return this.random.pick(list);
  }

  rate() {
    return this.pick([1, 250, 1000, 3333, 1_000_000, 7_654_321, 1_000_000_000_000]);
  }

  async set() {
    const name = this.pick(this.names);
    const capacity = this.pick([1, 2, 5, 10, 1000, 1_000_000_000]);
    const rate = this.rate();
    const [mode, dry, without] = [this.pick(['exact', 'leased']), this.pick(['no', 'no', 'yes']), this.pick(['open', 'closed', 'local'])];
    const answer = await this.call('weft1_bucket_set', [this.key(name), 'weft:buckets'], name, '1000000', 'weft:guard', capacity,
      rate / 1000, mode, dry, without);
    assert.equal(answer, this.models[name] ? 0 : 1);
    // What time it was then is in the hash.
    const at = Number(await this.redis.cmd('HGET', this.key(name), 'at_ms'));
    const flags = (mode === 'leased' ? 1 : 0) + (dry === 'yes' ? 2 : 0) + { open: 0, closed: 4, local: 8 }[without];
    const fresh = new Model(capacity, rate, dry === 'yes', flags, at);
    const old = this.models[name];
    if (old) {
      old.fill(at);
      fresh.tokens = least(old.tokens, fresh.capacity);
      fresh.would = old.would;
    }
    this.models[name] = fresh;
  }

  async take() {
    const keys = [...new Set(Array.from({ length: 1 + this.random.below(3) }, () => this.pick(this.names)))];
    const requests = Array.from({ length: 1 + this.random.below(3) }, () => {
      const indexes = keys.map((_, i) => i + 1).filter(() => this.random.below(3) > 0);
      return (indexes.length > 0 ? indexes : [1]).map((index) => {
        const cap = Number((this.models[keys[index - 1]]?.capacity ?? M) / M);
        return { index, tokens: this.pick([1, 1, 1, 2, Math.ceil(cap / 2), cap, cap + 1]) };
      });
    });
    const answer = await this.call('weft1_bucket_take', keys.map((name) => this.key(name)), ...keys.flatMap(() => ['0', '0']),
      ...requests.flatMap((items) => [items.length, ...items.flatMap(({ index, tokens }) => [index, tokens])]));
    const [now, ...got] = answer;
    const wanted = requests.map((items) => modelTake(items.map(({ index, tokens }) => ({ bucket: this.models[keys[index - 1]], tokens })), now));
    assert.deepEqual(got, wanted);
    for (const name of keys) this.models[name]?.fill(now);
  }

  async lease() {
    const name = this.pick(this.names);
    const ask = { back: this.pick([0, 0, 1, 50]), would: this.pick([0, 0, 2]), wanted: this.pick([0, 1, 5, 100]) };
    const [now, ...got] = await this.call('weft1_bucket_lease', [this.key(name)], '0', '0', ask.back, ask.wanted, ask.would);
    assert.deepEqual(got, modelLease(this.models[name], ask, now));
  }

  async look() {
    const [now, ...got] = await this.call('weft1_bucket_look', this.names.map((name) => this.key(name)));
    assert.deepEqual(got, this.names.map((name) => {
      const bucket = this.models[name];
      if (!bucket) return [MISSING, 0, 0, 0, 0, 0, 0, 0];
      const seen = Object.assign(new Model(1, 1, false, 0, 0), bucket); // to look changes nothing
      seen.fill(now);
      return [...seen.tell(seen.stands(1n), 1n), seen.would];
    }));
  }

  // Time passes, or goes back: both go on from what the hash holds.
  async pass() {
    const name = this.pick(this.names);
    const ms = this.pick([1, 3, 10, 999, 60_000, -5, -2000]);
    const model = this.models[name];
    if (!model) return;
    const stored = Number(await this.redis.cmd('HGET', this.key(name), 'at_ms'));
    const tokens = await this.redis.cmd('HGET', this.key(name), 'tokens');
    model.tokens = BigInt(Math.round(Number(tokens) * 1e6));
    model.at = stored - ms;
    await this.redis.cmd('HSET', this.key(name), 'at_ms', String(model.at));
  }

  async remove() {
    const name = this.pick(this.names);
    const answer = await this.call('weft1_bucket_delete', [this.key(name), 'weft:buckets'], name, 'weft:guard');
    assert.equal(answer, this.models[name] ? 1 : 0);
    delete this.models[name];
  }

  call(fn, keys, ...args) {
    return this.redis.cmd('FCALL', fn, keys.length, ...keys, ...args);
  }

  // What the hash holds and came in since is what the model has; nothing else lies there.
  async check() {
    for (const name of this.names) {
      const flat = await this.redis.cmd('HGETALL', this.key(name));
      const hash = Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));
      const model = this.models[name];
      if (!model) {
        assert.deepEqual(hash, {});
        continue;
      }
      assert.match(hash.tokens, /^\d+(\.\d*[1-9])?$/);
      assert.equal(Number(hash.capacity), Number(model.capacity / M));
      assert.equal(Number(hash.would_refuse ?? 0), model.would);
      const stored = { tokens: BigInt(Math.round(Number(hash.tokens) * 1e6)), at: Number(hash.at_ms) };
      const filled = Object.assign(new Model(1, 1, false, 0, 0), { capacity: model.capacity, rate: model.rate }, stored);
      const now = Math.max(model.at, stored.at);
      filled.fill(now);
      model.fill(now);
      assert.equal(filled.tokens, model.tokens);
    }
  }

  async run() {
    const steps = [this.set, this.set, this.take, this.take, this.take, this.take, this.lease, this.pass, this.pass, this.look];
    try {
      await this.set();
      for (let i = 0; i < 12; i++) {
        const step = this.random.below(20) === 0 ? this.remove : this.pick(steps);
        this.done.push(step.name);
        await step.call(this);
      }
      await this.check();
    } catch (error) {
      error.message = `schedule of seed ${this.seed} (${this.done.join(' ')}): ${error.message}`;
      throw error;
    }
    for (const name of this.names) await this.redis.cmd('DEL', this.key(name));
  }
}

story('random schedules: the functions and the model never differ', async (w) => {
  const redis = await w.redis({ args: ['--appendonly', 'no'] });
  await redis.cmd('FUNCTION', 'LOAD', library());
  const random = w.random();
  const count = QUICK ? 1000 : 10_000;
  const seeds = Array.from({ length: count }, () => 1 + random.below(2 ** 31 - 2));
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const n = next++;
      await new Schedule(redis, seeds[n], n).run();
    }
  };
  await Promise.all(Array.from({ length: 64 }, lane));
  w.note(`${count} schedules`);
}, { timeout: 300_000 });
