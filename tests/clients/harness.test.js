'use strict';
const { test, shared, assert } = require('./harness');

test('the service answers a key that it made', async () => {
    const meros = await shared();
    const key = await meros.newKey(['read']);
    assert.equal((await meros.request('GET', '/v1/customers', { key })).status, 200);
    assert.equal((await meros.request('GET', '/v1/customers', { key: key + 'x' })).status, 401);
});
