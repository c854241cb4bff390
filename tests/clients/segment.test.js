/* Segment's own SDKs: for Node, and analytics.js in a real browser. */
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test, skip, until, which, shared, start, origin, pages, assert } = require('./harness');

async function order(meros, id, orderId) {
    const { data } = await meros.get(`/v1/customers/${id}/orders`);
    return data.find(o => o.order_id === orderId);
}

test('analytics-node: traits, events, an order, a group and a visitor who becomes a customer', async () => {
    const { Analytics } = require('@segment/analytics-node');
    const meros = await shared();
    const sdk = new Analytics({ writeKey: await meros.newKey(['ingest']), host: meros.url });
    const errors = [];
    sdk.on('error', e => errors.push(e));
    sdk.page({ anonymousId: 'seg-visitor', name: 'Home', properties: { url: 'https://shop.example/' } });
    sdk.track({ anonymousId: 'seg-visitor', event: 'Product Viewed', properties: { product_id: 'p1', price: 12.75 } });
    sdk.identify({ userId: 'seg-1', traits: { email: 'a@x.io', firstName: 'Ada', lastName: 'Byron', plan: 'pro', createdAt: '2025-01-01T00:00:00.000Z' } });
    sdk.alias({ userId: 'seg-1', previousId: 'seg-visitor' });
    sdk.track({
        userId: 'seg-1', event: 'Order Completed', messageId: 'seg-fixed-1', timestamp: new Date('2025-05-01T12:00:00Z'),
        properties: { order_id: 'seg-o1', revenue: 25.5, currency: 'EUR', products: [{ product_id: 'p1', price: 12.75, quantity: 2 }] },
    });
    sdk.screen({ userId: 'seg-1', name: 'Main' });
    sdk.group({ userId: 'seg-1', groupId: 'g-1', traits: { name: 'ACME' } });
    await sdk.closeAndFlush();
    assert.deepEqual(errors, []);

    const c = await meros.get('/v1/customers/seg-1');
    assert.equal(c.email, 'a@x.io');
    assert.equal(c.name, 'Ada Byron');
    assert.equal(c.created_at, '2025-01-01T00:00:00Z');
    assert.equal(c.attributes.plan, 'pro');
    assert.deepEqual(c.attributes.group, { id: 'g-1', name: 'ACME' });
    assert.equal((await meros.get('/v1/customers/seg-visitor')).customer_id, 'seg-1');
    assert.equal(c.stats.events.page_viewed.count, 1);
    assert.equal(c.stats.events.product_viewed.count, 1);
    assert.equal(c.stats.orders, 1);
    assert.equal(c.stats.revenue, 25.5);
    const o = await order(meros, 'seg-1', 'seg-o1');
    assert.equal(o.lines.length, 1);
    assert.equal(o.lines[0].product_id, 'p1');
    assert.equal(o.lines[0].quantity, 2);
    /* the client's moment, corrected by what the message took to get here */
    assert.ok(Math.abs(Date.parse(o.ordered_at) - Date.parse('2025-05-01T12:00:00Z')) < 60e3, o.ordered_at);
    const { data } = await meros.get('/v1/customers/seg-1/events');
    assert.equal(data.length, 4);
    assert.equal(data.find(e => e.type === 'order_completed').event_id, 'seg-fixed-1');
    assert.equal(data.find(e => e.type === 'product_viewed').product_id, 'p1');
});

test('analytics-node: while the database is away it is told to come again, and what it sent lands once', async () => {
    const { Analytics } = require('@segment/analytics-node');
    const meros = await start();
    const key = await meros.newKey(['ingest']);
    await until(async () => (await meros.request('GET', '/v1/rejections', { key })).status === 200, 'the key is known'); /* without the database, too */
    const sdk = new Analytics({ writeKey: key, host: meros.url, maxRetries: 30 });
    const tries = [];
    sdk.on('http_request', request => tries.push(request));
    meros.freeze();
    sdk.track({ userId: 'retried', event: 'Clicked', messageId: 'retried-1' });
    const flushed = sdk.closeAndFlush({ timeout: 200e3 });
    await until(() => meros.metric('meros_http_requests_total{route="segmentBatch",method="POST",status="503"}'), 'a refusal', 80);
    meros.thaw();
    await flushed;
    assert.ok(tries.length >= 2, 'it came again');
    const { data } = await until(() => meros.get('/v1/customers/retried/events'), 'the event', 60);
    assert.equal(data.length, 1);
    assert.equal(data[0].event_id, 'retried-1');
    await meros.done();
});

/* --- in a browser */

const page = script => ['text/html', `<!doctype html><meta charset=utf-8><script src="/analytics.js"></script><script>
const done = what => fetch('/done', { method: 'POST', body: JSON.stringify(what) });
(async () => { try { await done({ ok: await (${script})() }); } catch (e) { await done({ error: String(e && e.stack || e) }); } })();
</script>`];

/* Opens the page in headless Chromium, waits for what its script gives, and hands that to `then` while the browser still runs:
 * what it sends at last may be on its way. */
async function browse(name, script, then) {
    const chromium = which('chromium', 'chromium-browser', 'google-chrome') || skip('chromium is not installed');
    const bundle = require.resolve('@segment/analytics-next/package.json').replace('package.json', 'dist/umd/index.js');
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'meros-chromium-'));
    let told;
    pages.set('/analytics.js', ['text/javascript', fs.readFileSync(bundle)]);
    pages.set(`/${name}`, page(script));
    pages.set('/done', (q, a) => {
        let text = '';
        q.on('data', d => { text += d; });
        q.on('end', () => { told = JSON.parse(text); a.end(); });
    });
    const browser = spawn(chromium, ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', `--user-data-dir=${profile}`, `${await origin()}/${name}`,
        '--remote-debugging-port=0'], { stdio: 'ignore', detached: true });
    const gone = new Promise(resolve => browser.once('exit', resolve));
    try {
        await until(() => told, 'the page is done', 150);
        assert.equal(told.error, undefined);
        await then(told.ok);
    } finally {
        process.kill(-browser.pid, 'SIGKILL'); /* it and the processes of its own group */
        await gone;
        fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
}

function loading(meros, key, strategy) {
    const options = { apiHost: `127.0.0.1:${meros.port}/v1`, protocol: 'http', ...strategy };
    return `const [analytics] = await window.AnalyticsNext.AnalyticsBrowser.load({ writeKey: '${key}', cdnURL: '${meros.url}' }, { integrations: { 'Segment.io': ${JSON.stringify(options)} } });`;
}

const calls = id => `await analytics.page('Shop', 'Home');
    await analytics.track('Product Added', { product_id: 'p2', price: 3, quantity: 2 });
    await analytics.identify('${id}', { email: 'b@x.io', plan: 'free' });
    await analytics.track('Order Completed', { order_id: '${id}-o', revenue: 6, products: [{ product_id: 'p2', price: 3, quantity: 2 }] });`;

async function joined(meros, id, anonymous) {
    const c = await until(async () => {
        const now = await meros.get(`/v1/customers/${id}`);
        return now.stats.events.order_completed && now.stats.events.page_viewed && now.email && now;
    }, 'all of it', 60);
    assert.equal(c.email, 'b@x.io');
    assert.equal(c.attributes.plan, 'free');
    assert.equal(c.stats.events.page_viewed.count, 1);
    assert.equal(c.stats.events.product_added.count, 1);
    assert.equal(c.stats.orders, 1);
    assert.equal(c.stats.revenue, 6);
    assert.equal((await meros.get(`/v1/customers/${anonymous}`)).customer_id, id);
}

test('analytics.js in Chromium: a visitor with a public key looks, logs in and buys', async () => {
    const meros = await shared();
    const key = await meros.newKey(['recommend']);
    await browse('single', `async () => { ${loading(meros, key, {})} ${calls('web-1')} return analytics.user().anonymousId(); }`,
        anonymous => joined(meros, 'web-1', anonymous));
});

test('analytics.js in Chromium: the same in batches', async () => {
    const meros = await shared();
    const key = await meros.newKey(['recommend']);
    const batching = { deliveryStrategy: { strategy: 'batching', config: { size: 4, timeout: 500 } } };
    await browse('batched', `async () => { ${loading(meros, key, batching)} ${calls('web-2')} return analytics.user().anonymousId(); }`,
        anonymous => joined(meros, 'web-2', anonymous));
});
