import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

import { chromium, type Browser as ChromiumBrowser } from 'playwright-core';

import type { Bundle } from '../../src/certificate/bundle.ts';
import { fullchainPem } from '../../src/certificate/bundle.ts';

const CHROMIUM = '/usr/bin/chromium';

export interface Browser {
  /** Opens a page and gives its text; undefined on success is impossible, so a network error's name comes as `net::ERR_…`. */
  visit(url: string): Promise<string>;
}

/**
 * Debian's Chromium with a home directory of its own, and so with the trust of that directory alone. Everything that
 * it asks for goes to the same port of 127.0.0.1, whatever the host in the URL, so any name can be visited and
 * nothing leaves this machine.
 */
export async function startChromium(t: Pick<TestContext, 'after'>, home: string): Promise<Browser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: install the package chromium`);
  const proxy = await loopbackProxy(t);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      `--proxy-server=http://127.0.0.1:${proxy}`,
      '--proxy-bypass-list=<-loopback>',
    ],
    env: { PATH: process.env['PATH'] ?? '', HOME: home },
  });
  t.after(() => browser.close());
  return {
    async visit(url) {
      for (let tries = 1; ; tries += 1) {
        const seen = await visitOnce(browser, url);
        // Another test made or removed a network interface: that says nothing of the page.
        if (seen !== 'net::ERR_NETWORK_CHANGED' || tries === 5) return seen;
      }
    },
  };
}

async function visitOnce(browser: ChromiumBrowser, url: string): Promise<string> {
  const page = await browser.newPage();
  try {
    await page.goto(url, { timeout: 20_000 });
    return await page.innerText('body');
  } catch (error) {
    const name = /net::ERR_\w+/.exec(String(error))?.[0];
    if (name === undefined) throw error;
    return name;
  } finally {
    await page.close();
  }
}

/** An HTTPS server on loopback that answers with `text`; gives its port. */
export async function serveTls(t: Pick<TestContext, 'after'>, bundle: Bundle, text: string): Promise<number> {
  const server = createTlsServer({ key: bundle.privateKeyPem, cert: fullchainPem(bundle) }, (_, response) => response.end(text));
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function loopbackProxy(t: Pick<TestContext, 'after'>): Promise<number> {
  const open = new Set<Socket>();
  const proxy = createServer((_, response) => response.writeHead(502).end());
  proxy.on('connect', (request, client: Socket) => {
    const port = Number(/:(\d+)$/.exec(request.url ?? '')?.[1]);
    const server = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(server).pipe(client);
    });
    for (const socket of [client, server]) {
      open.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          open.delete(socket);
          client.destroy();
          server.destroy();
        });
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    proxy.close();
  });
  return (proxy.address() as AddressInfo).port;
}
