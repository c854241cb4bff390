/* PostHog's SDK for Node. */
'use strict';
const { test, shared, assert } = require('./harness');

test('posthog-node: traits, events, an order, an alias, and no flags', async () => {
    const { PostHog } = require('posthog-node');
    const meros = await shared();
    const sdk = new PostHog(await meros.newKey(['ingest']), { host: meros.url, flushAt: 20 });
    const errors = [];
    sdk.on('error', e => errors.push(e));
    sdk.capture({ distinctId: 'hog-visitor', event: '$pageview', properties: { $current_url: 'https://shop.example/' } });
    sdk.capture({
        distinctId: 'hog-1', event: 'Order Completed', timestamp: new Date('2025-05-01T12:00:00Z'),
        properties: { order_id: 'hog-o1', revenue: 25.5, products: [{ product_id: 'p1', price: 12.75, quantity: 2 }] },
    });
    sdk.identify({ distinctId: 'hog-1', properties: { email: 'h@x.io', plan: 'pro' } });
    sdk.alias({ distinctId: 'hog-1', alias: 'hog-visitor' });
    sdk.groupIdentify({ groupType: 'company', groupKey: 'g1', properties: { n: 1 } });
    await sdk.flush();
    assert.deepEqual(await sdk.getAllFlags('hog-1'), {});
    await sdk.shutdown();
    assert.deepEqual(errors, []);
    const c = await meros.get('/v1/customers/hog-1');
    assert.equal(c.email, 'h@x.io');
    assert.equal(c.attributes.plan, 'pro');
    assert.equal(c.stats.orders, 1);
    assert.equal(c.stats.revenue, 25.5);
    assert.equal(c.stats.events.page_viewed.count, 1);
    assert.equal((await meros.get('/v1/customers/hog-visitor')).customer_id, 'hog-1');
});
