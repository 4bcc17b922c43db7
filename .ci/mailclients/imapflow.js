// What imapflow.py has imapflow do. It prints one JSON object, or what somebody reads who catches the error.
const { ImapFlow } = require('imapflow');
const fs = require('fs');

const [, , what, port, transport, user, ca, dir, shared] = process.argv;

async function use(client) {
    const got = {};
    const read = async (mailbox) => {
        await client.mailboxOpen(mailbox, { readOnly: true });
        const all = [];
        for await (const m of client.fetch('1:*', { source: true })) all.push(m.source.toString('latin1'));
        return all;
    };
    got.list = (await client.list()).map((m) => ({ path: m.path, noselect: m.flags.has('\\Noselect') }));
    got.messages = await read('INBOX');
    got.found = await client.search({ subject: 'odd' });
    got.shared = await read(shared);
    got.parent = await client.mailboxOpen('Lists', { readOnly: true }).then(() => 'opened', (e) => e.responseText);

    await client.mailboxOpen('INBOX');
    await client.append('Drafts', fs.readFileSync(`${dir}/append`), ['\\Draft']);
    await client.messageFlagsAdd('2', ['\\Seen', '\\Flagged']);
    await client.messageCopy('2', 'Sent');
    const expunged = [];
    client.on('expunge', (e) => expunged.push(e.seq));
    await client.messageMove('3', 'Trash');
    got.expunged = expunged;
    got.exists = client.mailbox.exists;
    if (what === 'idle') {
        const news = new Promise((resolve) => client.on('exists', (e) => resolve(e.count)));
        client.idle();
        console.log('idling');
        got.news = await news;
    }
    return got;
}

async function main() {
    const client = new ImapFlow({
        host: 'localhost', port: Number(port), secure: transport === 'TLS', doSTARTTLS: transport === 'STARTTLS',
        auth: { user, pass: 'pass' }, tls: { ca: fs.readFileSync(ca) }, logger: false,
    });
    try {
        await client.connect();
        if (what === 'use' || what === 'idle') {
            console.log(JSON.stringify(await use(client)));
        } else {
            await client.mailboxOpen('INBOX');
            const answer = what === 'fetch' ? await client.fetchOne('1', { source: true }) : await client.search({ subject: 'odd' });
            console.log(`${what} gives ${answer}`);
        }
        await client.logout();
    } catch (e) {
        console.log(`${e}: ${e.responseText}`);
        process.exit(1);
    }
}

main();
