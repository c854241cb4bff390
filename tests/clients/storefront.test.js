/* A shop's page in a real browser: events out and a shelf back, from another origin, with the key that everybody can read. */
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test, skip, until, which, shared, origin, pages, assert } = require('./harness');

const page = script => ['text/html', `<!doctype html><meta charset=utf-8><script>
const done = what => fetch('/storefront-done', { method: 'POST', body: JSON.stringify(what) });
(async () => { try { await done({ ok: await (${script})() }); } catch (e) { await done({ error: String(e && e.stack || e) }); } })();
</script>`];

async function browse(name, script) {
    const chromium = which('chromium', 'chromium-browser', 'google-chrome') || skip('chromium is not installed');
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'meros-storefront-'));
    let told;
    pages.set(`/${name}`, page(script));
    pages.set('/storefront-done', (q, a) => {
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
        return told.ok;
    } finally {
        process.kill(-browser.pid, 'SIGKILL'); /* it and the processes of its own group */
        await gone;
        fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
}

test('a page sends events and gets its shelf in one round trip, and may do nothing else', async () => {
    const meros = await shared();
    const key = await meros.newKey(['recommend']);
    for (const id of ['sf-mug', 'sf-pot', 'sf-cup']) {
        const made = await meros.request('PUT', `/v1/products/${id}`, { body: { name: id, category: 'kitchen' } });
        assert.ok(made.status === 201 || made.status === 200, made.text);
    }
    const seen = await browse('storefront', `async () => {
        const ask = async (method, path, body) => {
            const r = await fetch('${meros.url}' + path, { method, headers: { authorization: 'Bearer ${key}', 'content-type': 'application/json' },
                body: body && JSON.stringify(body) });
            return { status: r.status, body: await r.json() };
        };
        const viewed = { customer_id: 'sf-anna', type: 'product_viewed', product_id: 'sf-mug' };
        const collected = await ask('POST', '/v1/collect', { events: [viewed], recommend: { limit: 2, exclude_seen: true } });
        const first = collected.body.recommendations;
        const shown = { customer_id: 'sf-anna', type: 'recommendation_shown', properties: { recommendation_id: first.recommendation_id } };
        const clicked = { customer_id: 'sf-anna', type: 'recommendation_clicked', properties: { recommendation_id: first.recommendation_id, slot: 1 } };
        const told = await ask('POST', '/v1/events', [shown, clicked]);
        const shelf = await ask('GET', '/v1/customers/sf-anna/recommendations?limit=3');
        const visitor = await ask('POST', '/v1/recommendations', { recent: [{ product_id: 'sf-pot' }], limit: 2 });
        let refused = 'nothing';
        try { refused = (await ask('GET', '/v1/customers/sf-anna')).status; } catch (e) { refused = String(e); }
        return { collected, told, shelf, visitor, refused };
    }`);
    assert.equal(seen.collected.status, 200, JSON.stringify(seen.collected));
    assert.equal(seen.collected.body.accepted, 1);
    assert.equal(seen.collected.body.recommendations.customer_id, 'sf-anna');
    assert.equal(seen.collected.body.recommendations.items.length, 2);
    assert.ok(!seen.collected.body.recommendations.items.some(i => i.product_id === 'sf-mug'), 'what was seen a moment ago is left out');
    assert.equal(seen.told.body.accepted, 2);
    assert.equal(seen.shelf.status, 200);
    assert.equal(seen.visitor.status, 200);
    assert.equal(seen.refused, 403);
    /* the click was about what stood at the first place */
    const { data } = await meros.get('/v1/customers/sf-anna/events');
    assert.equal(data.find(e => e.type === 'recommendation_clicked').product_id, seen.collected.body.recommendations.items[0].product_id);
    const performance = await meros.get('/v1/recommendations/performance?by=slot');
    assert.ok(performance.total.clicks >= 1 && performance.total.impressions >= 2);
});
