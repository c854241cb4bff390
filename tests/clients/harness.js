/* What tests of clients are written with.
 *
 *     const { test, skip, shared, until, assert } = require('./harness');
 *     test('an event that was sent is there', async () => {
 *         const meros = await shared();               // one service for all tests, with an admin key
 *         const sdk = new Sdk({ key: meros.key, host: meros.url });
 *         …
 *         const c = await until(() => meros.get('/v1/customers/anna'), 'the customer', 10);
 *         assert.equal(c.attributes.plan, 'pro');
 *     });
 *
 * Tests of all files run one after the other in one process, in the order in which they were written down. One that stops
 * or starves its service starts its own: `const meros = await start({ MEROS_…: '…' })`, then `await meros.done()`.
 * Waiting is always for a condition (until), never for a time. */
'use strict';
const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const tests = [];
let file = '';

/* fn may throw (the test fails) or call skip(reason). */
function test(name, fn) {
    tests.push({ file, name, fn });
}

class Skipped extends Error {}
function skip(reason) {
    throw new Skipped(reason);
}

/* Calls fn until it gives something true, and gives that; what it throws counts as "not yet". */
async function until(fn, what, seconds = 60) {
    const end = Date.now() + seconds * 1000;
    for (let last; ; await new Promise(resolve => setTimeout(resolve, 30))) {
        try {
            const value = await fn();
            if (value) return value;
            last = new Error('it was not so');
        } catch (e) {
            last = e;
        }
        if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s (${last.message})`);
    }
}

/* Where an executable is, or null. */
function which(...names) {
    for (const name of names)
        for (const folder of (process.env.PATH || '').split(':'))
            if (fs.existsSync(path.join(folder, name))) return path.join(folder, name);
    return null;
}

function program() {
    const asked = process.env.MEROS_TEST_BINARY;
    if (asked) return path.resolve(root, asked);
    const built = ['build/asan/meros', 'build/meros'].map(p => path.join(root, p)).find(p => fs.existsSync(p));
    if (!built) throw new Error('build the program first: make');
    return built;
}

function request(port, method, target, { key, body, headers = {} } = {}) {
    return new Promise((resolve, reject) => {
        const h = { ...headers };
        if (key) h.authorization = `Bearer ${key}`;
        if (body !== undefined && !h['content-type']) h['content-type'] = 'application/json';
        const q = http.request({ host: '127.0.0.1', port, method, path: target, headers: h, agent: false }, answer => {
            const parts = [];
            answer.on('data', d => parts.push(d));
            answer.on('error', reject);
            answer.on('end', () => {
                const text = Buffer.concat(parts).toString();
                let json;
                try { json = JSON.parse(text); } catch { /* not every answer is */ }
                resolve({ status: answer.statusCode, headers: answer.headers, text, json });
            });
        });
        q.on('error', reject);
        q.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
    });
}

/* --- the service under test, with a folder of its own */
const running = new Set();

class Service {
    constructor(env) {
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'meros-clients-'));
        fs.chmodSync(this.folder, 0o755); /* PostgreSQL's own user must get through it */
        this.key = 'test_admin_' + crypto.randomBytes(16).toString('hex');
        this.env = env;
        this.log = path.join(this.folder, 'log');
    }

    /* On the same port every time: clients know it. */
    async up() {
        const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MEROS_')));
        Object.assign(env, {
            MEROS_BIND: '127.0.0.1', MEROS_PORT: String(this.port || 0), MEROS_DATA_DIR: path.join(this.folder, 'data'),
            MEROS_BOOTSTRAP_KEY: this.key, MEROS_DRAIN_TIMEOUT: '40s', /* an end that is forced is a failure: not on a busy machine */
            ...this.env,
            ASAN_OPTIONS: 'abort_on_error=1', UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
        });
        const log = fs.openSync(this.log, 'a');
        const began = fs.fstatSync(log).size;
        const command = [program(), 'serve'];
        if (which('setpriv')) command.unshift('setpriv', '--pdeathsig', 'TERM'); /* dies with the tests, also with ones that crashed */
        this.process = spawn(command[0], command.slice(1), { env, stdio: ['ignore', log, log] });
        fs.closeSync(log);
        this.ended = new Promise(resolve => this.process.once('exit', (code, signal) => resolve(code === null ? signal : code)));
        this.process.once('exit', () => { this.process = null; });
        running.add(this);
        try {
            this.port = await until(() => {
                if (!this.process) return -1;
                const listening = /http\.listening.*?port\D*(\d+)/.exec(fs.readFileSync(this.log, 'utf8').slice(began));
                return listening && Number(listening[1]);
            }, 'the service listens', 120);
            if (this.port < 0) throw new Error(`the service ended with ${await this.ended}`);
            this.url = `http://127.0.0.1:${this.port}`;
            await until(async () => (await request(this.port, 'GET', '/readyz')).status === 200, 'the service is ready', 120);
        } catch (e) {
            throw new Error(`${e.message}\n${fs.readFileSync(this.log, 'utf8').slice(-4000)}`);
        }
        return this;
    }

    /* {status, headers, text, json}; options: {key, body, headers}. The admin key unless another or '' is given. */
    request(method, target, options = {}) {
        return request(this.port, method, target, { key: this.key, ...options });
    }

    /* The JSON of a 200; anything else throws. */
    async get(target) {
        const r = await this.request('GET', target);
        if (r.status !== 200) throw new Error(`GET ${target}: ${r.status} ${r.text.slice(0, 300)}`);
        return r.json;
    }

    async newKey(scopes) {
        const r = await this.request('POST', '/v1/keys', { body: { name: 'clients', scopes } });
        assert.equal(r.status, 201, r.text);
        return r.json.key;
    }

    /* SIGTERM; the exit code. */
    async stop(signal = 'SIGTERM') {
        this.thaw();
        if (!this.process) return this.ended;
        this.process.kill(signal);
        return this.ended;
    }

    async done() {
        const code = await this.stop();
        running.delete(this);
        const log = fs.readFileSync(this.log, 'utf8');
        const sane = !/ERROR: (Address|Leak)Sanitizer|runtime error: /.test(log);
        fs.rmSync(this.folder, { recursive: true, force: true });
        assert.ok(code === 0 && sane, `the service ended with ${code}\n${log.slice(-4000)}`);
    }

    /* The id of the embedded PostgreSQL's first process. */
    postmaster() {
        const at = execFileSync('find', [path.join(this.folder, 'data'), '-name', 'postmaster.pid'], { encoding: 'utf8' }).split('\n')[0];
        return Number(fs.readFileSync(at, 'utf8').split('\n')[0]);
    }

    /* Its database is gone: connections break, and nobody answers new ones until thaw(). */
    freeze() {
        const first = this.postmaster();
        process.kill(first, 'SIGSTOP'); /* no further ones from here on */
        const children = fs.readdirSync('/proc').filter(pid => {
            try {
                return Number(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1]) === first;
            } catch { return false; /* not a process, or gone */ }
        }).map(Number);
        for (const pid of children) process.kill(pid, 'SIGKILL');
        this.frozen = first;
    }

    thaw() {
        if (this.frozen) process.kill(this.frozen, 'SIGCONT');
        this.frozen = null;
    }

    /* The value of a metric, 0 where it is not there yet. */
    async metric(name) {
        const { text } = await this.request('GET', '/metrics');
        const line = text.split('\n').find(l => l.startsWith(name + ' '));
        return line ? Number(line.slice(name.length + 1)) : 0;
    }
}

async function start(env = {}) {
    return new Service(env).up();
}

/* --- pages for a browser: what tests put into `pages` is served, and may call the shared service */
const pages = new Map();  /* path -> [content type, text], or a function of (request, answer) */
let pageServer = null, sharedService = null;

async function origin() {
    if (!pageServer) {
        pageServer = http.createServer((q, a) => {
            const page = pages.get(q.url.split('?')[0]);
            if (typeof page === 'function') return page(q, a);
            a.writeHead(page ? 200 : 404, { 'content-type': page ? page[0] : 'text/plain' });
            a.end(page ? page[1] : '');
        });
        await new Promise(resolve => pageServer.listen(0, '127.0.0.1', resolve));
    }
    return `http://127.0.0.1:${pageServer.address().port}`;
}

/* The one service that most tests use. */
async function shared() {
    if (!sharedService) sharedService = start({ MEROS_CORS_ORIGINS: await origin() });
    return sharedService;
}

async function main(words) {
    for (const name of fs.readdirSync(__dirname).filter(n => n.endsWith('.test.js')).sort()) {
        file = name.replace('.test.js', '');
        require(path.join(__dirname, name));
    }
    const wanted = tests.filter(t => words.length === 0 || words.some(w => `${t.file}: ${t.name}`.includes(w)));
    let passed = 0, failed = 0, skipped = 0;
    console.log(`1..${wanted.length}`);
    for (const t of wanted) {
        const what = `${t.file}: ${t.name}`;
        let timer;
        const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('it took longer than 300 s')), 300e3); });
        try {
            await Promise.race([t.fn(), late]);
            console.log(`ok - ${what}`);
            passed++;
        } catch (e) {
            if (e instanceof Skipped) {
                console.log(`ok - ${what} # SKIP ${e.message}`);
                skipped++;
            } else {
                console.log(`not ok - ${what}\n${String(e.stack || e).replace(/^/gm, '    ')}`);
                failed++;
            }
        }
        clearTimeout(timer);
    }
    if (sharedService) {
        try {
            await (await sharedService).done();
        } catch (e) {
            console.log(`not ok - the shared service\n${String(e.message).replace(/^/gm, '    ')}`);
            failed++;
        }
    }
    for (const s of running) { /* of tests that failed */
        let database = 0;
        try { database = s.postmaster(); } catch { /* it has none */ }
        await s.stop('SIGKILL');
        try { if (database) process.kill(database, 'SIGQUIT'); } catch { /* it is gone */ }
        fs.rmSync(s.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    }
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    process.exit(failed === 0 ? 0 : 1);
}

module.exports = { test, skip, until, which, shared, start, request, origin, pages, assert, main };
