// Connects as fast as it can for workerData.ms, from many loopback addresses, says nothing or half a request, and leaves by FIN or RST.
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { port, ms } = workerData;
const WIDTH = 150;
const SAYS = ['', 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{', Buffer.from('1603010200010001fc0303', 'hex')];
const began = performance.now();
let made = 0;
let refused = 0;
let n = 0;

function once() {
  return new Promise((resolve) => {
    const i = n++;
    // Other addresses are other ports as well: none is used up.
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: `127.0.${1 + (i >> 8) % 200}.${1 + i % 250}` });
    socket.on('error', () => {});
    socket.on('close', resolve);
    socket.on('data', (data) => {
      if (data.toString('latin1', 0, 16).includes(' 503')) refused++;
    });
    socket.on('connect', () => {
      made++;
      if (SAYS[i % SAYS.length].length > 0) socket.write(SAYS[i % SAYS.length]);
      // Some stay for a moment, so that there are many at a time.
      const leave = () => (i % 3 && socket.writable ? socket.resetAndDestroy() : socket.destroy());
      if (i % 5 === 0) setTimeout(leave, 100);
      else leave();
    });
  });
}

await Promise.all(Array.from({ length: WIDTH }, async () => {
  while (performance.now() - began < ms) await once();
}));
parentPort.postMessage({ made, refused, ms: performance.now() - began });
