import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { DEPLOY, eventually, podHost } from '../support/pods.ts';
import { apacheStatus, httpStatus, servedLeaf, untilPublished, untilServed } from '../support/pods-web.ts';

const host = await podHost({ after });

test('Apache’s pod played first answers on port 80 at once, waits, and serves 443 within 2 s of the certificates', async (t) => {
  await host.play('web.yaml');
  await eventually(
    async () => (await httpStatus('http://127.0.0.1/.well-known/acme-challenge/none')) === 404,
    'port 80 answers',
    10_000,
    () => host.logs('web-apache'),
  );
  await assert.rejects(servedLeaf());
  const waiting = await apacheStatus(host);
  assert.equal(waiting.ready, false);
  assert.match(waiting.reasons.join('\n'), /certificate default is missing/);
  await host.play('certificates.yaml');
  const took = await untilServed(host, { ms: 30_000 });
  t.diagnostic(`443 serves ${took.toFixed(0)} ms after the certificate is published`);
  assert.ok(took < 2000, `${took} ms`);
  assert.equal((await apacheStatus(host)).daemons[0]?.restarts, 0, 'it waited, and did not start again and again');
  assert.equal(await host.must(['inspect', '--format', '{{.RestartCount}}', 'web-apache']), '0');
});

for (const name of ['wait-for-certs', 'wait-for-certs-loop']) {
  test(`deploy/examples/${name}.yaml: the service starts when the init container has seen certificates, and not before`, async (t) => {
    await host.removeEverything();
    const playing = host.play(`examples/${name}.yaml`);
    t.after(() => playing.catch(() => undefined));
    const running = (container: string): Promise<string> =>
      host.must(['inspect', '--format', '{{.State.Running}}', `${name}-${container}`]);
    await eventually(async () => (await running('wait-for-certs')) === 'true', 'the init container runs', 20_000);
    const waits = name === 'wait-for-certs' ? 2000 : 3000;
    await new Promise((resolve) => setTimeout(resolve, waits));
    assert.equal(await running('wait-for-certs'), 'true', await host.logs(`${name}-wait-for-certs`));
    assert.equal(await running('service'), 'false');
    await host.play('certificates.yaml');
    await playing;
    await eventually(
      async () => /"notAfter"/.test(await host.logs(`${name}-service`)),
      'the service reads the certificate',
      20_000,
      () => host.logs(`${name}-service`),
    );
    assert.equal(await running('service'), 'true');
  });
}

test('the same-pod form does not deadlock: both start together, and Apache serves within 2 s of the certificate', async (t) => {
  await host.removeEverything();
  const began = Date.now();
  await host.play('same-pod.yaml');
  await untilPublished(host, 'podserve-certificates');
  const took = await untilServed(host, { ms: 30_000 });
  t.diagnostic(`443 serves ${took.toFixed(0)} ms after the certificate is published, ${Date.now() - began} ms after podman kube play`);
  assert.ok(took < 2000, `${took} ms`);
  assert.equal((await apacheStatus(host, 'podserve-apache')).ready, true);
});

test('pods that need nothing of each other start in parallel, in any order', async (t) => {
  await host.removeEverything();
  const began = Date.now();
  const files = ['consumer.yaml', 'web.yaml', 'certificates.yaml'];
  for (const file of files) assert.ok(existsSync(join(DEPLOY, file)));
  await Promise.all(files.map((file) => host.play(file)));
  const took = await untilServed(host, { ms: 30_000 });
  await eventually(async () => (await host.logs('consumer-consumer')).includes('reads-key=yes'), 'the consumer sees it');
  t.diagnostic(
    `all three are up ${Date.now() - began} ms after the first podman kube play; 443 served ${took.toFixed(0)} ms after publishing`,
  );
});
