/** What people type in place of the parent of keys, by mistake, and what they mean. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configOf, enough, problemsOf } from '../support/config.ts';

const mistakes: [text: string, problem: RegExp][] = [
  ['{name}', /must have no braces, .*; a key with placeholders is a record: --record/],
  ['prod/{service}/{ip}', /--record '\/prod\/\{service\}\/\{address\}=running'/],
  ['{{.Task.Slot}}', /must have no braces/],
  ['services/{container}', /--record '\/services\/\{address\}=running'/],
  ['a{b', /must have no braces/],
  ['}', /must have no braces/],
  ['$SERVICE', /has "\$SERVICE", which no shell has replaced; write the value/],
  ['prod/${SERVICE}', /has "\$\{SERVICE\}", which no shell has replaced/],
  ['${SERVICE', /which no shell has replaced/],
  ['$(hostname)', /has "\$\(hostname\)", which no shell has replaced/],
  ['%SERVICE%', /which no shell has replaced/],
  ['%(ENV_SERVICE)s', /has "%\(ENV_SERVICE\)s", which supervisord has not replaced/],
  ['web-%(process_num)d', /which supervisord has not replaced/],
  ['web/*', /must have no "\*", because it is no pattern; name the parent/],
  ['"web"', /must have no quotes; only a shell removes quotes/],
  ["'web'", /must have no quotes/],
  ['`hostname`', /must have no quotes/],
  ['service/<ip>:<port>', /must have no "<" and no ">"; dockreg adds the address itself/],
  ['service/10.0.0.5:8000', /ends with the address 10\.0\.0\.5:8000; dockreg adds the address itself/],
  ['prod\\web', /must have no backslash; separate names by "\/"/],
  ['we\u200bb', /has the invisible character \\u200b; type it anew/],
  ['\ufeffweb', /has the invisible character/],
  ['http://10.1.0.101:2379', /must be names .*; etcd's own address belongs in --etcd/],
  ['web/', /must be names .*; write web$/],
  ['//prod//web', /must be names .*; write prod\/web$/],
  [' web', /must be names .*; write web$/],
  ['web\r', /must be names .*; write web$/],
  [
    'my web',
    /must be names separated by single slashes, without spaces .*, such as service or prod\/service$/,
  ],
  ['..', /must be names/],
  ['a/./b', /must be names/],
  ['a\u0000', /must be names/],
];

/** No mistakes. */
const fine = [
  'web',
  '/web',
  'prod/web',
  'web:8000',
  'a,b',
  'a@b',
  'a%20b',
  'wéb',
  'prod-1.2_x',
  'a$',
  '10.0.0.5',
];

describe('the parent of the keys', () => {
  for (const [text, problem] of mistakes) {
    it(`is refused as --key, as a root and in a variable, with the way out: ${JSON.stringify(text)}`, async () => {
      const key = await problemsOf([...enough, `--key=${text}`]);
      assert.equal(key.length, 1, key.join('\n'));
      assert.match(key[0] ?? '', problem);
      const variable = await problemsOf(enough, { DOCKREG_KEY: text });
      assert.equal(variable.length, 1);
      const root = await problemsOf([...enough, `--layout=registrator:${text}`]);
      // What stands around a layout is cut off.
      assert.equal(root.length, text.endsWith('\r') ? 0 : 1, root.join('\n'));
      const listed = await problemsOf(['ls', '--etcd', 'http://h1:2379', `--key=${text}`]);
      assert.deepEqual(listed, key);
    });
    it(`has a way out that is accepted: ${JSON.stringify(text)}`, async () => {
      const [message = ''] = await problemsOf([...enough, `--key=${text}`]);
      const [, record] = /--record '(.*)'/.exec(message) ?? [];
      const [, key] = /; write ([\w/]+)$/.exec(message) ?? [];
      if (record !== undefined) assert.deepEqual(await problemsOf([...enough, '--record', record]), []);
      if (key !== undefined) assert.deepEqual(await problemsOf([...enough, '--key', key]), []);
    });
  }

  for (const text of fine) {
    it(`may be ${text}`, async () => {
      const { services } = await configOf([...enough, '--key', text]);
      assert.deepEqual(services[0]?.publication.layouts, [
        { name: 'service', root: text.replace(/^\//, '') },
      ]);
    });
  }

  for (const text of ['/x/$HOSTNAME/{id}=1', '/x/%(program_name)s/{id}=1'])
    it(`is refused in a record of one's own too: ${text}`, async () => {
      assert.match((await problemsOf([...enough, '--record', text])).join(), /has not replaced|no shell has/);
    });

  it("may have a dollar sign in the value of a record of one's own", async () => {
    assert.deepEqual(await problemsOf([...enough, '--record', '/x/{id}=$5 {address}']), []);
  });

  it('is not what a name may be either', async () => {
    for (const name of ['$SERVICE', '%(ENV_SERVICE)s', '{name}'])
      assert.equal((await problemsOf([...enough, '--name', name])).length, 1, name);
  });
});
