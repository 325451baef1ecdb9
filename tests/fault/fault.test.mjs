// Two minutes of faults against a real fabric, from a seed that is printed: nodes are killed, asked to end and stopped,
// Redis loses power, is killed, flushed and promoted with a lost tail, connections break in every way, live messages are taken away. What was acknowledged and
// kept comes to every subscriber once and in order, what was lost is told to whoever can know, and nobody is told
// anything else.   @slow
import assert from 'node:assert/strict';
import test from 'node:test';
import { check } from './main.mjs';
import { Random } from '../black/lib/random.mjs';
import { SLOW } from '../black/lib/wait.mjs';

test('faults from a seed', { timeout: 290_000 * SLOW }, async (t) => {
  const { seed } = new Random();
  t.diagnostic(`WEFT_SEED=${seed}`);
  const said = [];
  const found = await check({ seed, minutes: 2, mode: 'mixed', nodes: 3, round: 22 }, (text) => said.push(text));
  for (const line of said.join('\n').split('\n')) t.diagnostic(line);
  assert.equal(found.bad, 0, said.slice(-12).join('\n'));
  // It did something: a run in which nothing was lost or resumed has tested nothing.
  const sum = (look) => found.counts.reduce((n, counts) => n + look(counts), 0);
  assert.ok(sum((c) => c.lost) > 0, 'nothing was lost');
  assert.ok(sum((c) => c.gaps.reset ?? 0) > 0, 'no reset was told');
  assert.ok(sum((c) => c.resumes) > 100, 'hardly anybody resumed');
});
