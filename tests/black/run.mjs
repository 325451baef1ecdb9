// Runs the stories: each file in a process (and process group) of its own, with a hard end.
//
//   node run.mjs [--quick] [name ...]      names of files, with or without .test.mjs, here, in ../browser or in ../fault
//
// WEFT_BIN      folder of weftd and weft (default ../../build/bin)
// WEFT_QUICK=1  fewer events and rounds
// WEFT_SLOW=5   every deadline five times as long (sanitizers)
// WEFT_JOBS=2   files at a time
// WEFT_SEED=n   repeats a run of a test with chance in it
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = path.dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2);
const env = { ...process.env };
if (words.includes('--quick')) env.WEFT_QUICK = '1';
const names = words.filter((word) => !word.startsWith('--')).map((word) => path.basename(word).replace(/\.test\.mjs$/, ''));
const files = new Map();
for (const where of [folder, path.join(folder, '../browser'), path.join(folder, '../fault')]) {
  for (const file of readdirSync(where).sort()) {
    if (file.endsWith('.test.mjs')) files.set(file.replace(/\.test\.mjs$/, ''), path.join(where, file));
  }
}
const all = [...files.keys()];
const unknown = names.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no such story: ${unknown.join(', ')}\nthere are: ${all.join(', ')}`);
  process.exit(2);
}
const queue = names.length > 0 ? names : all;
const jobs = Math.max(1, Number(env.WEFT_JOBS ?? 2));
const hardMs = 300_000 * Number(env.WEFT_SLOW ?? 1);
const running = new Set();
let failures = 0;
const failed = [];

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // the whole group is gone
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const pid of running) endGroup(pid);
    process.exit(1);
  });
}

// What failed and why, in a few lines: said once more at the end, where a log cut short still has it.
function whatFailed(name, output) {
  const lines = [];
  for (const [, title, report] of output.matchAll(/^not ok \d+ - (.*)\n((?: .*\n)*)/gm)) {
    lines.push(`${name}: ${title}`, ...report.split('\n').filter((line) => !/^ {2}(---|\.\.\.|duration_ms|location|failureType|code|name|operator)/.test(line)).slice(0, 14));
  }
  return lines.length > 0 ? lines : [`${name}: no story says why`];
}

function runFile(name) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(process.execPath, [files.get(name)], {
      cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child.pid);
    let output = '';
    let late = false;
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    const timer = setTimeout(() => {
      late = true;
      if (late) endGroup(child.pid);
    }, hardMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      running.delete(child.pid);
      if (late) endGroup(child.pid);
      const seconds = ((Date.now() - started) / 1000).toFixed(1);
      const passed = /^(?:# pass|ℹ pass) (\d+)/m.exec(output)?.[1] ?? '?';
      if (code === 0) {
        console.log(`ok    ${name}  (${passed} stories, ${seconds} s)`);
      } else {
        failures++;
        failed.push(...whatFailed(name, output));
        console.log(output);
        console.log(`FAIL  ${name}  (${seconds} s)${late ? '  ended by the hard time limit' : ''}`);
      }
      resolve();
    });
  });
}

async function worker() {
  while (queue.length > 0) await runFile(queue.shift());
}

await Promise.all(Array.from({ length: jobs }, worker));
if (failed.length > 0) console.log(`== failed\n${failed.join('\n')}`);
process.exit(failures > 0 ? 1 : 0);
