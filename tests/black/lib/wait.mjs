// Waiting with an end: for a promise, or for a condition that nothing announces.

// Sanitizers and slow machines: WEFT_SLOW=5 makes every deadline five times as long.
export const SLOW = Number(process.env.WEFT_SLOW ?? 1);
export const QUICK = process.env.WEFT_QUICK === '1';

const DEFAULT_MS = 15_000;

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function deadline(promise, { what = 'something', ms = DEFAULT_MS } = {}) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms * SLOW} ms for ${what}`)), ms * SLOW);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Looks again and again until look() returns something true (its errors count as "not yet").
export async function until(look, { what = 'a condition', ms = DEFAULT_MS, every = 10 } = {}) {
  const end = Date.now() + ms * SLOW;
  let last;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${ms * SLOW} ms for ${what}`, { cause: last });
    }
    await sleep(every);
  }
}
