// A TCP address that leads to a port of one's choice: what a node sees of a promotion, or of a cut cable.
import net from 'node:net';
import { once } from 'node:events';

export class Switch {
  // port: where it leads to; undefined: nowhere, connections are closed at once.
  async start(port) {
    this.target = port;
    this.pairs = new Set();
    this.server = net.createServer((client) => this.#join(client));
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    return this;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  // Cuts what there is; from now on it leads there.
  to(port) {
    this.target = port;
    for (const end of this.pairs) end();
  }

  async stop() {
    this.to(undefined);
    this.server.close();
    await once(this.server, 'close');
  }

  #join(client) {
    client.on('error', () => {});
    if (this.target === undefined) {
      client.destroy();
      return;
    }
    const server = net.connect(this.target, '127.0.0.1');
    const end = () => {
      this.pairs.delete(end);
      client.destroy();
      server.destroy();
    };
    this.pairs.add(end);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', end);
    }
    client.pipe(server);
    server.pipe(client);
  }
}
