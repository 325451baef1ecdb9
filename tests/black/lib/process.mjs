// Child processes that a test owns: started with pipes, ended by their pid, never left behind.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { deadline } from './wait.mjs';

const alive = new Set();

// Ends what a story has left running.
export async function endStrays() {
  await Promise.all([...alive].map((program) => program.kill()));
}

function killAll() {
  for (const program of alive) {
    try {
      process.kill(program.pid, 'SIGKILL');
    } catch {
      // gone already
    }
  }
}
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    killAll();
    process.exit(1);
  });
}

// A running program. Its output is kept line by line (both streams), and can be waited for.
export class Program {
  constructor(command, args, options = {}) {
    this.command = command;
    this.lines = [];
    this.watchers = new Set();
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    alive.add(this);
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => {
        alive.delete(this);
        resolve({ code: null, signal: null, error });
      });
      this.child.once('close', (code, signal) => {
        alive.delete(this);
        resolve({ code, signal });
      });
    });
    this.exited.then((how) => {
      this.exit = how;
      for (const watcher of [...this.watchers]) watcher(null);
    });
    for (const stream of ['stdout', 'stderr']) {
      if (!this.child[stream]) continue;
      createInterface({ input: this.child[stream] }).on('line', (line) => this.#take(stream, line));
    }
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.exit === undefined;
  }

  #take(stream, text) {
    const line = { stream, text };
    this.lines.push(line);
    for (const watcher of [...this.watchers]) watcher(line);
  }

  output(stream) {
    return this.lines
      .filter((line) => !stream || line.stream === stream)
      .map((line) => line.text)
      .join('\n');
  }

  // The first line, from line number `from` on, for which pick() returns something.
  async line(pick, { what = 'a line', from = 0, ms } = {}) {
    for (let i = from; i < this.lines.length; i++) {
      const found = pick(this.lines[i].text, this.lines[i]);
      if (found) return found;
    }
    let watcher;
    const arrived = new Promise((resolve, reject) => {
      watcher = (line) => {
        if (!line) {
          reject(new Error(`${this.command} ended (${JSON.stringify(this.exit)}) before ${what}:\n${this.output()}`));
          return;
        }
        const found = pick(line.text, line);
        if (found) resolve(found);
      };
      this.watchers.add(watcher);
      if (!this.running) watcher(null);
    });
    try {
      return await deadline(arrived, { what: `${this.command}: ${what}`, ms });
    } finally {
      this.watchers.delete(watcher);
    }
  }

  signal(name) {
    if (this.running) process.kill(this.pid, name);
  }

  // Also lets go of its pipes, which a grandchild may hold open.
  async kill() {
    this.signal('SIGKILL');
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    return this.exited;
  }

  // Asks it to end and returns how it ended; after `ms` it is killed, which is an error.
  async stop({ signal = 'SIGTERM', ms } = {}) {
    this.signal(signal);
    try {
      return await deadline(this.exited, { what: `${this.command} to end after ${signal}`, ms });
    } catch (error) {
      await this.kill();
      throw error;
    }
  }
}

// Runs a program to its end.
export async function run(command, args, { ms, input, ...options } = {}) {
  const stdio = [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'];
  const program = new Program(command, args, { ...options, stdio });
  if (input !== undefined) {
    program.child.stdin.on('error', () => {});
    program.child.stdin.end(input);
  }
  let how;
  try {
    how = await deadline(program.exited, { what: `${command} ${args.join(' ')} to end`, ms });
  } catch (error) {
    await program.kill();
    throw error;
  }
  return { ...how, stdout: program.output('stdout'), stderr: program.output('stderr') };
}
