// Reproducible chance: WEFT_SEED=<number> repeats a run whose seed was printed.

export class Random {
  constructor(seed = Number(process.env.WEFT_SEED ?? Math.floor(Math.random() * 2 ** 31))) {
    this.seed = seed;
    this.state = seed >>> 0;
  }

  // mulberry32
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  between(low, high) {
    return low + this.below(high - low + 1);
  }

  chance(p) {
    return this.next() < p;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  some(list, n) {
    const rest = [...list];
    const out = [];
    while (out.length < n && rest.length > 0) out.push(...rest.splice(this.below(rest.length), 1));
    return out;
  }
}
