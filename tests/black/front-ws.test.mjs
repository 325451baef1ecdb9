// WebSockets (npm's ws) through both proxies, over TLS: events one by one, publishing, and a cursor that goes on at whatever node is
// given after nodes were killed and connections cut. Nothing is lost, nothing repeated.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { ByWebSocket, Publisher } from './lib/front.mjs';
import { Haproxy } from './lib/haproxy.mjs';
import { event, events } from './lib/http.mjs';
import { Nginx, selfMade } from './lib/nginx.mjs';
import { deadline, until } from './lib/wait.mjs';

const EVENTS = 300;
const count = (n) => Array.from({ length: n }, (_, i) => i + 1);

for (const Proxy of [Nginx, Haproxy]) {
  const front = async (w) => {
    const nodes = await w.cluster(2);
    const proxy = new Proxy(w.folder, await selfMade(w.folder), nodes.map((node) => node.port));
    w.atEnd(() => proxy.stop());
    await proxy.start();
    return { nodes, proxy };
  };

  story(`${Proxy.name}: each event is there before the next one is published, through the socket as well`, async (w) => {
    const { nodes, proxy } = await front(w);
    const follower = new ByWebSocket(w, proxy);
    follower.start();
    await until(() => follower.opened === 1, { what: 'weft.open' });
    for (let n = 1; n <= 20; n++) {
      await w.client(nodes[n % 2]).published('t', event(n));
      await until(() => follower.got.length === n, { what: `event ${n}` });
    }
    const answered = deadline(new Promise((resolve) => {
      follower.heard = (message) => message.request === 'p' && resolve(message);
    }), { what: 'the answer' });
    follower.send({ op: 'publish', request: 'p', topic: 't', event: event(21) });
    assert.equal((await answered).ids.length, 1);
    await until(() => follower.got.length === 21, { what: 'its own event' });
    follower.over = true;
    follower.cut();
    for (const node of nodes) await node.metricReaches('weft_subscribers', 0);
    assert.deepEqual(follower.problems, []);
  });

  story(`${Proxy.name}: ${EVENTS} events, nodes killed, connections cut; nothing lost, nothing repeated`, async (w) => {
    const { nodes, proxy } = await front(w);
    const followers = count(4).map(() => new ByWebSocket(w, proxy));
    for (const follower of followers) follower.start();
    await until(() => followers.every((f) => f.opened === 1), { what: 'all to be there' });
    const kill = async (which) => {
      await nodes[which].kill();
      nodes[which] = await w.node({ id: nodes[which].id, port: nodes[which].port });
    };
    const cut = () => followers.forEach((f) => f.cut());
    const publisher = new Publisher(w, proxy);
    const breaks = [() => kill(0), cut, () => kill(1), () => proxy.reload?.(), cut, () => {}];
    for (const broken of breaks) {
      const upTo = publisher.published + EVENTS / breaks.length;
      const publishing = (async () => {
        while (publisher.published < upTo) await publisher.publish(events(publisher.published + 1, publisher.published + 5));
      })();
      await Promise.all([publishing, broken()]);
    }
    await until(() => followers.every((f) => f.got.length >= EVENTS), { what: 'everybody to have everything', ms: 30_000 });
    for (const follower of followers) {
      assert.deepEqual(follower.problems, []);
      assert.deepEqual(follower.got, count(EVENTS));
      assert.ok(follower.opened > 2, `opened ${follower.opened} times`);
    }
  }, { timeout: 120_000 });
}
