// Faults against a real fabric, from a seed: rounds in different setups until the time is over. scripts/fault --help says more.
import os from 'node:os';
import path from 'node:path';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { bin } from '../black/lib/node.mjs';
import { endStrays } from '../black/lib/process.mjs';
import { Random } from '../black/lib/random.mjs';
import { FAULTS } from './faults.mjs';
import { features, Namespace } from './features.mjs';
import { judge } from './judge.mjs';
import { countsText, violationsText } from './report.mjs';
import { MODES, Round } from './round.mjs';

const MODE_SETS = {
  standalone: ['everysec', 'pair', 'always', 'netns', 'clock'],
  sentinel: ['sentinel'],
  mixed: ['everysec', 'sentinel', 'pair', 'always', 'netns', 'clock'],
};

let unfinished = null; // the folder of a run that goes on

export function parse(words) {
  const options = { seed: Math.floor(Math.random() * 2 ** 31), minutes: 2, mode: 'mixed', only: null, nodes: 3, round: 40 };
  const take = { '--seed': 'seed', '--minutes': 'minutes', '--mode': 'mode', '--only': 'only', '--nodes': 'nodes', '--round': 'round', '--judge': 'judge' };
  for (let i = 0; i < words.length; i += 2) {
    const name = take[words[i]];
    if (!name) throw new Error(`unknown argument ${words[i]}, see --help`);
    if (words[i + 1] === undefined) throw new Error(`${words[i]} needs a value`);
    options[name] = words[i + 1];
  }
  for (const name of ['seed', 'minutes', 'nodes', 'round']) {
    options[name] = Number(options[name]);
    if (!(options[name] > 0) && !(name === 'seed' && options.seed === 0)) throw new Error(`--${name} needs a number above 0`);
  }
  if (!Number.isInteger(options.seed)) throw new Error('--seed needs a whole number');
  if (!Number.isInteger(options.nodes) || options.nodes > 8) throw new Error('--nodes needs 1 to 8');
  if (!MODE_SETS[options.mode] && !MODES.includes(options.mode)) {
    throw new Error(`--mode is one of ${[...Object.keys(MODE_SETS), ...MODES].join(', ')}`);
  }
  if (options.only) {
    options.only = options.only.split(',');
    const unknown = options.only.filter((name) => !FAULTS[name]);
    if (unknown.length > 0) throw new Error(`no such fault: ${unknown.join(', ')}; there are ${Object.keys(FAULTS).join(', ')}`);
  }
  return options;
}

// Runs until the time is over; the number of violations and problems, and what was counted.
export async function check(options, say = console.log) {
  say(`seed ${options.seed}`);
  if (!existsSync(bin('weftd'))) throw new Error(`${bin('weftd')} is not built (scripts/build)`);
  const folder = mkdtempSync(path.join(os.tmpdir(), `weft-fault-${options.seed}-`));
  unfinished = folder;
  const total = { bad: 0, rounds: 0, counts: [], faults: {} };
  const random = new Random(options.seed);
  const endsAt = Date.now() + options.minutes * 60_000;
  let keep = false;
  try {
    const found = await features(folder);
    for (const text of found.missing) say(`skipped: ${text}`);
    const able = (MODE_SETS[options.mode] ?? [options.mode]).filter((mode) => {
      if ((mode === 'netns' && !found.netns) || (mode === 'clock' && !found.clock) || (mode === 'sentinel' && !found.sentinel)) return false;
      return !options.only || options.only.some((name) => FAULTS[name].modes.includes(mode));
    });
    if (able.length === 0) throw new Error('none of these faults can be done here');
    // The first ones lose events in every way; in what order the others follow depends on the seed.
    const order = [...able.slice(0, 3), ...random.some(able.slice(3), able.length)];
    // A round takes some seconds more than its faults: to begin, to come to rest.
    for (let n = 0; n === 0 || endsAt - Date.now() > 20_000; n++) {
      const seconds = Math.max(5, Math.min(options.round, (endsAt - Date.now()) / 1000 - 10));
      const round = new Round({
        ...options, found, seconds, say, mode: order[n % order.length], seed: random.below(2 ** 31), folder: path.join(folder, `${n + 1}`),
      });
      say(`round ${n + 1}: ${round.mode}, seed ${round.seed}`);
      const bad = await one(round, say, total);
      total.rounds++;
      if (bad > 0) {
        keep = true;
        total.bad += bad;
        round.keep();
        say(`FAULT in round ${n + 1}: seed ${options.seed}, all of it is in ${round.folder}`);
      } else rmSync(round.folder, { recursive: true, force: true });
    }
  } catch (error) {
    keep = true;
    throw error;
  } finally {
    await endStrays();
    await Namespace.endAll();
    unfinished = null;
    if (!keep) rmSync(folder, { recursive: true, force: true });
  }
  say(`${total.rounds} rounds, faults done: ${Object.entries(total.faults).map(([name, times]) => `${name} ${times}`).join(', ')}`);
  say(total.bad > 0 ? `${total.bad} FAULTS FOUND, seed ${options.seed}` : 'no fault found');
  return total;
}

async function one(round, say, total) {
  const { counts, violations } = await round.go().catch((error) => {
    round.keep();
    throw error;
  });
  for (const [name, times] of Object.entries(round.done)) total.faults[name] = (total.faults[name] ?? 0) + times;
  total.counts.push(counts);
  say(countsText(counts).replace(/^/gm, '    '));
  for (const problem of round.problems) say(`problem: ${problem}`);
  if (violations.length > 0) say(violationsText(round.record, violations));
  return violations.length + round.problems.length;
}

// A record that was kept, judged again.
function again(file) {
  const record = JSON.parse(readFileSync(file, 'utf8'));
  const { counts, violations } = judge(record);
  console.log(countsText(counts));
  if (violations.length > 0) console.log(violationsText(record, violations));
  return violations.length;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // In front of the listener that ends the children and exits: what would outlive them.
    process.prependListener(signal, () => {
      Namespace.endAllNow();
      if (unfinished) rmSync(unfinished, { recursive: true, force: true });
    });
  }
  try {
    const options = parse(process.argv.slice(2));
    const bad = options.judge ? again(options.judge) : (await check(options)).bad;
    process.exitCode = bad > 0 ? 1 : 0;
  } catch (error) {
    console.error(`fault: ${error.stack ?? error}`);
    process.exitCode = 2;
  }
}
