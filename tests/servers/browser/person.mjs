// A person in a real browser: `node person.mjs ADDRESS WISH PICTURE`.
//
// ADDRESS begins a login at oidc-provider. WISH is `agree`, `deny`, `forge` (first comes back with
// the state of another login, then agrees) or `dawdle` (comes back when the code has expired).
// PICTURE.png, PICTURE-dark.png and PICTURE-narrow.png show the last page. Prints as JSON what the
// person saw there.
import { execSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';

const [address, wish, picture] = process.argv.slice(2);
const CODE_LIFETIME = 2_500; // The server's is 2 s.

const redirect = new URL(new URL(address).searchParams.get('redirect_uri'));
const browser = await puppeteer.launch({
  executablePath: execSync('command -v chromium', { encoding: 'utf8' }).trim(),
  acceptInsecureCerts: true, // As a person who has compared the fingerprint.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});
try {
  const page = await browser.newPage();
  const seen = [];
  page.on('response', (response) => {
    if (response.url().startsWith(redirect.origin) && response.status() !== 303) {
      seen.push({ status: response.status(), headers: response.headers() });
    }
  });

  if (wish === 'forge') {
    await page.goto(`${redirect}?code=stolen&state=guessed`);
    await shoot(page, `${picture}-forged`);
    seen.forged = await page.evaluate(() => document.body.innerText);
    seen.forgedAddress = page.url();
    seen.splice(0);
  }
  if (wish === 'dawdle') await dawdle(page);
  await page.goto(address);
  if (wish === 'deny') {
    await click(page, 'a[href$="/abort"]');
  } else {
    await page.type('[name=login]', 'alice');
    await page.type('[name=password]', 'x');
    await click(page, '[type=submit]');
    await click(page, '[type=submit]'); // Consent.
  }

  const last = seen.find(({ headers }) => headers['content-type']?.startsWith('text/html'));
  const history = await page.createCDPSession()
    .then((session) => session.send('Page.getNavigationHistory'));
  await shoot(page, picture);
  console.log(JSON.stringify({
    url: page.url(),
    status: last?.status,
    headers: last?.headers,
    text: await page.evaluate(() => document.body.innerText),
    html: await page.content(),
    background: await page.evaluate(() => getComputedStyle(document.querySelector('main')).textAlign),
    history: history.entries.map((entry) => entry.url),
    forged: seen.forged,
    forgedAddress: seen.forgedAddress,
  }));
} finally {
  await browser.close();
}

async function click(page, selector) {
  await page.waitForSelector(selector);
  await Promise.all([page.waitForNavigation(), page.click(selector)]);
}

// Holds the browser back on its way to the redirect URI.
async function dawdle(page) {
  const session = await page.createCDPSession();
  await session.send('Fetch.enable', { patterns: [{ urlPattern: `${redirect}?code=*` }] });
  session.on('Fetch.requestPaused', async ({ requestId }) => {
    await sleep(CODE_LIFETIME);
    await session.send('Fetch.continueRequest', { requestId });
  });
}

async function shoot(page, path) {
  const scheme = (value) => page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]);
  await page.setViewport({ width: 1000, height: 640 });
  await scheme('light');
  await page.screenshot({ path: `${path}.png` });
  await scheme('dark');
  await page.screenshot({ path: `${path}-dark.png` });
  await scheme('light');
  await page.setViewport({ width: 360, height: 640, deviceScaleFactor: 2 });
  await page.screenshot({ path: `${path}-narrow.png` });
  await page.setViewport({ width: 1000, height: 640 });
}
