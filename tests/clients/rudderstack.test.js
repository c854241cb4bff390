/* RudderStack's SDK for Node: the same calls, gzipped and called a form. */
'use strict';
const { test, shared, assert } = require('./harness');

for (const gzip of [true, false]) {
    test(`rudder-sdk-node, ${gzip ? 'gzipped' : 'plain'}: traits, events, an order and a visitor who becomes a customer`, async () => {
        const Analytics = require('@rudderstack/rudder-sdk-node');
        const meros = await shared();
        const id = gzip ? 'rud-z' : 'rud-p';
        const errors = [];
        const sdk = new Analytics(await meros.newKey(['ingest']), { dataPlaneUrl: meros.url, gzip, logLevel: 'silent', errorHandler: e => errors.push(e) });
        sdk.identify({ userId: id, traits: { email: 'r@x.io', plan: 'pro' } });
        sdk.page({ anonymousId: `${id}-visitor`, name: 'Home' });
        sdk.track({ userId: id, event: 'Order Completed', properties: { order_id: `${id}-o`, revenue: 25.5, currency: 'EUR' }, timestamp: new Date('2025-05-01T12:00:00Z') });
        sdk.group({ userId: id, groupId: 'g-1' });
        sdk.alias({ userId: id, previousId: `${id}-visitor` });
        await sdk.flush();
        assert.deepEqual(errors, []);
        const c = await meros.get(`/v1/customers/${id}`);
        assert.equal(c.email, 'r@x.io');
        assert.equal(c.attributes.plan, 'pro');
        assert.equal(c.attributes.group.id, 'g-1');
        assert.equal(c.stats.orders, 1);
        assert.equal(c.stats.revenue, 25.5);
        assert.equal(c.stats.events.page_viewed.count, 1);
        assert.equal((await meros.get(`/v1/customers/${id}-visitor`)).customer_id, id);
    });
}
