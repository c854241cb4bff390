/* What Meros sends, verified by the reference library of Standard Webhooks (npm's standardwebhooks), as a receiver would. */
'use strict';
const http = require('node:http');
const { Webhook } = require('standardwebhooks');
const { test, start, until, assert } = require('./harness');

/* A receiver that keeps what it was sent. */
async function receiver() {
    const got = [];
    const server = http.createServer((q, a) => {
        const parts = [];
        q.on('data', d => parts.push(d));
        q.on('end', () => {
            got.push({ headers: q.headers, body: Buffer.concat(parts).toString() });
            a.writeHead(204).end();
        });
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    return { got, url: `http://127.0.0.1:${server.address().port}/hook`, close: () => { server.closeAllConnections(); server.close(); } };
}

test('standardwebhooks verifies what Meros sends, and nothing that was changed', async () => {
    const meros = await start({ MEROS_WEBHOOK_ALLOW_PRIVATE: 'true' });
    const r = await receiver();
    try {
        const put = body => meros.request('PUT', '/v1/webhooks/npm', { body: { url: r.url, events: ['job.finished'], ...body } });
        const made = await put({});
        assert.equal(made.status, 201, made.text);
        const wh = new Webhook(made.json.secret);

        const sent = await meros.request('POST', '/v1/webhooks/npm/test');
        assert.equal(sent.status, 202, sent.text);
        await until(() => r.got.length >= 1, 'the message');
        const message = wh.verify(r.got[0].body, r.got[0].headers);
        assert.equal(message.type, 'webhook.test');
        assert.deepEqual(message.data, { webhook: 'npm' });
        assert.equal(r.got[0].headers['webhook-id'], sent.json.id);
        assert.throws(() => wh.verify(r.got[0].body.replace('npm', 'nmp'), r.got[0].headers), /No matching signature/);
        assert.throws(() => wh.verify(r.got[0].body, { ...r.got[0].headers, 'webhook-id': 'msg_other' }), /No matching signature/);

        /* A job that fails for want of data is an event like any other. */
        const job = await meros.request('POST', '/v1/jobs', { body: { kind: 'train.segments', params: { name: 'none' } } });
        assert.equal(job.status, 202, job.text);
        await until(() => r.got.length >= 2, 'the end of the job', 60);
        const finished = wh.verify(r.got[1].body, r.got[1].headers);
        assert.equal(finished.type, 'job.finished');
        assert.equal(finished.data.id, job.json.id);
        assert.ok(['succeeded', 'failed'].includes(finished.data.state), finished.data.state);

        /* For a day after a rotation both secrets verify. */
        const rotated = await put({ rotate_secret: true });
        assert.notEqual(rotated.json.secret, made.json.secret);
        await meros.request('POST', '/v1/webhooks/npm/test');
        await until(() => r.got.length >= 3, 'the message after the rotation');
        assert.equal(wh.verify(r.got[2].body, r.got[2].headers).type, 'webhook.test');
        assert.equal(new Webhook(rotated.json.secret).verify(r.got[2].body, r.got[2].headers).type, 'webhook.test');
    } finally {
        r.close();
        await meros.done();
    }
});
