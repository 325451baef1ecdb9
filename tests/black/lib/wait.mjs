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

// Waits until look(subject) returns something true; fails when the subject ends before. The subject (a `kind` of thing, such as a stream)
// calls what is in its `waiting` whenever it has changed, has `ended` and a summary().
export async function untilTold(subject, kind, look, { what = `something on the ${kind}`, ms, mayEnd = false } = {}) {
  let check;
  const found = new Promise((resolve, reject) => {
    check = () => {
      let value;
      try {
        value = look(subject);
      } catch (error) {
        reject(error);
        return;
      }
      if (value) resolve(value);
      else if (subject.ended && !mayEnd) reject(new Error(`the ${kind} ended before ${what}; got ${subject.summary()}`));
    };
  });
  subject.waiting.add(check);
  check();
  try {
    return await deadline(found, { what: `${what}; got ${subject.summary()}`, ms });
  } catch (error) {
    if (/^waited/.test(error.message)) error.message += `; at the end ${subject.summary()}`;
    throw error;
  } finally {
    subject.waiting.delete(check);
  }
}
