// express-rate-limit, one counter per path, each with another set of headers.
//
//   /d6/...        RateLimit-* (draft 6 of the IETF's header fields)
//   /d7/...        RateLimit and RateLimit-Policy (draft 7)
//   /d8/...        the same as structured fields (draft 8)
//   /d8two/...     two policies, so two lines of each
//   /legacy/...    X-RateLimit-*, the reset as seconds since 1970
//   /both/...      draft 7 and X-RateLimit-*
//   /none/...      no header at all
//   /clock-d6/...  and -d7, -d8, -legacy: the same, but windows begin by the clock and not with the
//                  first request
//   /digikey/...   a burst and a day, X-BurstLimit-* and X-RateLimit-*
//   /stats         answers by path and status; "PATH refused in": windows that refused something
//
// LIMIT (20) requests in WINDOW_MS (2000), DAY_LIMIT (1000) for /digikey and /d8two.
// Of /digikey, whose documents disagree: RETRY_AFTER (delta, date, none), and DAY_RESET, which
// tells the end of the day in seconds to go (delta) or since 1970 (epoch).
import express from 'express';
import { rateLimit } from 'express-rate-limit';

const number = (name, fallback) => Number(process.env[name] ?? fallback);
const burst = { limit: number('LIMIT', 20), windowMs: number('WINDOW_MS', 2000) };
const day = { limit: number('DAY_LIMIT', 1000), windowMs: 24 * 60 * 60 * 1000 };
const silent = { standardHeaders: false, legacyHeaders: false };

const stats = {};
// The ends of the windows that refused something, by path.
const refusing = {};
const app = express();
app.get('/stats', (_request, response) => {
  const windows = Object.entries(refusing);
  const counts = windows.map(([path, ends]) => [`${path} refused in`, ends.size]);
  response.json({ ...stats, ...Object.fromEntries(counts) });
});
app.use((request, response, next) => {
  response.on('finish', () => {
    const path = request.originalUrl.split('/')[1];
    const key = `${path} ${response.statusCode}`;
    stats[key] = (stats[key] ?? 0) + 1;
    const window = request.rateLimit ?? request.BurstLimit;
    if (response.statusCode === 429 && window) {
      (refusing[path] ??= new Set()).add(window.resetTime.getTime());
    }
  });
  next();
});

const telling = (standardHeaders, more = {}) =>
  rateLimit({ ...burst, ...silent, standardHeaders, identifier: 'burst', ...more });
app.use('/d6', telling('draft-6'));
app.use('/d7', telling('draft-7'));
app.use('/d8', telling('draft-8'));
app.use('/d8two', telling('draft-8', { ...day, identifier: 'day' }), telling('draft-8'));
app.use('/legacy', telling(false, { legacyHeaders: true }));
app.use('/both', telling('draft-7', { legacyHeaders: true }));
app.use('/none', telling(false));

// Strict windows by the clock.
class ByTheClock {
  hits = 0;
  end = 0;
  increment() {
    const end = (Math.floor(Date.now() / burst.windowMs) + 1) * burst.windowMs;
    if (end !== this.end) Object.assign(this, { hits: 0, end });
    this.hits += 1;
    return { totalHits: this.hits, resetTime: new Date(this.end) };
  }
  decrement() {}
  resetKey() {}
}
const byTheClock = (standardHeaders, more = {}) =>
  telling(standardHeaders, { store: new ByTheClock(), ...more });
app.use('/clock-d6', byTheClock('draft-6'));
app.use('/clock-d7', byTheClock('draft-7'));
app.use('/clock-d8', byTheClock('draft-8'));
app.use('/clock-legacy', byTheClock(false, { legacyHeaders: true }));

// The library counts; DigiKey's names for the headers are put on here, refused or not.
const choice = (name) => process.env[name] ?? 'delta';
const epoch = (time) => Math.ceil(time / 1000);
const secondsTo = (time) => Math.max(0, Math.ceil((time - Date.now()) / 1000));
const retryAfter = {
  delta: secondsTo,
  date: (time) => new Date(epoch(time) * 1000).toUTCString(),
  none: () => undefined,
}[choice('RETRY_AFTER')];
const dayReset = { delta: secondsTo, epoch }[choice('DAY_RESET')];
const resets = { 'X-RateLimit': dayReset, 'X-BurstLimit': secondsTo };
function describe(response, prefix, count) {
  response.set(`${prefix}-Limit`, `${count.limit}`);
  response.set(`${prefix}-Remaining`, `${count.remaining}`);
  response.set(`${prefix}-Reset`, `${resets[prefix](count.resetTime)}`);
}
function counter(name, prefix, quota) {
  const handler = (request, response) => {
    describe(response, prefix, request[name]);
    const until = retryAfter(request[name].resetTime);
    if (until !== undefined) response.set('Retry-After', `${until}`);
    response.status(429).json({ ErrorMessage: `${name} exceeded`, StatusCode: 429 });
  };
  return rateLimit({ ...quota, ...silent, requestPropertyName: name, handler });
}
app.use('/digikey', counter('Daily Ratelimit', 'X-RateLimit', day));
app.use('/digikey', counter('BurstLimit', 'X-BurstLimit', burst));
app.use('/digikey', (request, response, next) => {
  describe(response, 'X-RateLimit', request['Daily Ratelimit']);
  describe(response, 'X-BurstLimit', request.BurstLimit);
  next();
});

app.use((request, response) => response.json({ path: request.originalUrl }));

const server = app.listen(number('PORT', 0), '127.0.0.1', () => {
  console.log(`LISTENING http://127.0.0.1:${server.address().port}`);
});
// Node closes an idle connection after 5 s, maybe just as a request leaves on it. These tests are
// about limits, so it does not.
server.keepAliveTimeout = 60_000;
