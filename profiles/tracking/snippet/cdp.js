/*
 * cdp.js: what a page sends to the customer data platform. ES2018, no dependencies; README.md is its manual.
 *
 * Served as cdp.min.js, made by `make snippet` and held to 3,072 bytes gzipped. Calls wait in localStorage under
 * keys of their own, so that tabs never overwrite each other's, and leave it once the server answered for them.
 * Whatever is sent twice carries the same messageId.
 */
(() => {
  "use strict";
  const early = window.cdp || [];
  // A page may include the snippet twice by mistake.
  if (early.version) return;
  const script = document.currentScript || document.querySelector("script[src*='/cdp.js']");
  const option = script.dataset;
  const base = script.src.split("/cdp.js")[0];

  const STATE = "cdp"; // {i: anonymous id, u: digest of the user's id, m: of the e-mail, c: consent, 1 or 0}
  const ITEM = "cdp:"; // + time in microseconds + messageId: one call
  const WAIT = "cdp_wait"; // until when the server asked to be left alone
  const CHUNK = 6e4; // bytes of a request; browsers carry 64 KB beyond a page's end
  const LONG = 34560000; // seconds, the longest a browser keeps a cookie

  const isRequired =
    option.consent == "required" ||
    (option.gpc == "honor" && (navigator.globalPrivacyControl || navigator.doNotTrack == 1));
  const domain = option.cookie; // undefined: no cookie; empty: this host's
  const memory = {}; // stands in for the storage before consent, and where the browser refuses it
  const flying = new Set(); // keys of calls on their way
  const log = [];
  let mayStore, isOff, listener, timer, last = 0, failures = 0;

  const note = (what, about) => {
    log.push([what, about]);
    if (log.length > 99) log.shift();
    if (listener) listener(what, about);
  };
  // A mistake in a call must never break the page it stands in; a loud one is said while somebody looks.
  const guard = (call, isLoud) => (...parts) => {
    try {
      return call(...parts);
    } catch (error) {
      note("error", error);
      if (listener && isLoud) throw error;
    }
  };

  // --- Storage ---------------------------------------------------------------------------------------
  // Null where the browser keeps storage from pages.
  const stored = (use) => {
    try {
      return use(localStorage);
    } catch (error) {
      return null;
    }
  };
  const read = (key) => memory[key] || stored((storage) => storage.getItem(key));
  const remove = (key) => {
    delete memory[key];
    stored((storage) => storage.removeItem(key));
  };
  const write = (key, text) => {
    delete memory[key];
    if (!mayStore || stored((storage) => storage.setItem(key, text)) === null) memory[key] = text;
  };
  const queued = () =>
    Object.keys(memory)
      .concat(stored(Object.keys) || [])
      .filter((key) => key.startsWith(ITEM))
      .sort();
  const state = () => JSON.parse(read(STATE) || "{}");
  const setCookie = (id, seconds) => {
    if (domain != null)
      document.cookie =
        `cdp_id=${id};path=/;samesite=lax;max-age=${seconds};domain=${domain}` +
        (location.protocol == "https:" ? ";secure" : "");
  };
  const save = (found) => {
    write(STATE, JSON.stringify(found));
    if (mayStore) setCookie(found.i, LONG);
    return found;
  };

  // --- Who -------------------------------------------------------------------------------------------
  // crypto.randomUUID exists on HTTPS pages alone.
  const uuid = () =>
    "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
      (digit ^ (crypto.getRandomValues(new Uint8Array(1)) & (15 >> (digit / 4)))).toString(16)
    );
  const fresh = (id) => save({ i: id || uuid(), c: state().c });
  const self = () => {
    const found = state();
    // The cookie outlives the storage, and counts on the site's other hosts too.
    const cookie = domain != null && /(?:^|; )cdp_id=([\w-]{2,})/.exec(document.cookie);
    if (cookie && cookie[1] != found.i) return fresh(cookie[1]);
    return found.i ? found : fresh();
  };
  // Enough to notice another person, too little to learn who it was: 32 bits, salted with the browser's id.
  const digest = (text) => {
    let sum = 1;
    for (const char of self().i + String(text).trim().toLowerCase())
      sum = Math.imul(sum ^ char.codePointAt(), 16777619);
    return sum;
  };
  // Another person than last time gets another anonymous id. One userId with a new e-mail is the same person.
  const meet = (user, mail) => {
    const found = self();
    const u = user && digest(user);
    const m = mail && digest(mail);
    if (u && found.u ? u != found.u : m && found.m && m != found.m) {
      note("rotated");
      fresh();
      meet(user, mail);
    } else save({ ...found, u: u || found.u, m: m || found.m });
  };
  const mailOf = (traits) => traits[Object.keys(traits).find((name) => /^e[-_ ]?mail$/i.test(name))];

  // --- Queue -----------------------------------------------------------------------------------------
  const trim = () => {
    const keys = queued();
    if (keys.length > (mayStore ? 1e3 : 100) || keys.map(read).join().length > 1e6) {
      const key = keys.find((key) => read(key)[9] != "i") || keys[0]; // {"type":"identify"
      note("dropped", read(key));
      remove(key);
      trim();
    }
  };
  const add = (type, body, options) => {
    if (isOff) return;
    const { origin, pathname, search } = location;
    const campaign = {};
    new URLSearchParams(search).forEach((value, name) => {
      if (name.startsWith("utm_")) campaign[name == "utm_campaign" ? "name" : name.slice(4)] = value;
    });
    const messageId = uuid();
    const item = {
      type,
      ...body,
      messageId,
      anonymousId: self().i,
      timestamp: new Date(),
      context: {
        page: {
          path: pathname,
          referrer: document.referrer.split(/[?#]/)[0],
          title: document.title,
          url: origin + pathname,
        },
        ...(search.includes("utm_") && { campaign }),
        ...options,
      },
    };
    const text = JSON.stringify(item);
    // It alone would push out all that waits, and the platform takes no call of that size.
    if (text[3e5]) return note("dropped", text);
    last = Math.max(last + 1, Date.now() * 1e3);
    write(ITEM + last + messageId, text);
    note("queued", item);
    trim();
    timer || again(500);
    return messageId;
  };

  // --- Sending ---------------------------------------------------------------------------------------
  const again = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };
  const send = async (isLeaving) => {
    const wait = read(WAIT) - Date.now();
    // Longer than an hour is a clock that was set back.
    if (wait > 0 && wait < 36e5) return again(wait);
    const keys = [];
    let size = 0;
    for (const key of queued())
      if (!flying.has(key)) {
        size += new Blob([read(key)]).size;
        if (keys[0] && size > CHUNK) break;
        keys.push(key);
      }
    if (!keys[0]) return;
    const about = JSON.stringify({
      writeKey: option.key,
      sentAt: new Date(),
      context: {
        library: { name: "cdp.js", version: api.version },
        locale: navigator.language,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        screen: { width: screen.width, height: screen.height },
        userAgent: navigator.userAgent,
      },
    });
    // A text body is a simple request: no preflight.
    const body = about.slice(0, -1) + `,"batch":[${keys.map(read)}]}`;
    const url = base + "/v1/batch";
    if (isLeaving && !("keepalive" in Request.prototype)) return navigator.sendBeacon(url, body);
    keys.forEach((key) => flying.add(key));
    try {
      const answer = await fetch(url, { method: "POST", body, credentials: "omit", keepalive: size < CHUNK });
      const { status } = answer;
      // A key or origin that is refused may be put right; what cannot be read never will be.
      if (status > 499 || [401, 403, 408, 429].includes(status)) {
        const seconds = answer.headers.get("Retry-After");
        if (seconds > 0) write(WAIT, Date.now() + seconds * 1e3);
        throw status;
      }
      keys.forEach(remove);
      failures = 0;
      again(0);
      note("answered", await answer.json());
    } catch (error) {
      note("failed", error);
      if (read(keys[0])) again(Math.min(3e5, 500 * 2 ** ++failures) * (1 + Math.random()));
    }
    keys.forEach((key) => flying.delete(key));
  };
  // Of several tabs one sends at a time, so that a call is sent once.
  const flush = () => {
    clearTimeout(timer);
    timer = 0;
    if (mayStore && queued()[0]) (navigator.locks ? navigator.locks.request(STATE, () => send()) : send()).catch(send);
  };

  // --- Consent ---------------------------------------------------------------------------------------
  const decide = () => {
    const { c } = state();
    isOff = c === 0;
    mayStore = c || !(isRequired || isOff);
    if (mayStore) Object.keys(memory).forEach((key) => write(key, memory[key]));
    flush();
  };

  // --- Calls -----------------------------------------------------------------------------------------
  const view = (type) => (name, properties, options) =>
    name && typeof name == "object" ? add(type, { properties: name }, properties) : add(type, { name, properties }, options);
  const api = {
    identify(user, traits, options) {
      if (user && typeof user == "object") return api.identify(0, user, traits);
      meet(user, mailOf(traits || {}));
      return add("identify", { ...(user && { userId: user }), traits }, options);
    },
    update: (traits, options) => add("update", { traits }, options),
    track: (event, properties, options) => add("track", { event, properties }, options),
    page: view("page"),
    screen: view("screen"),
    group: (groupId, traits, options) => add("group", { groupId, traits }, options),
    alias: (userId, previousId, options) => add("alias", { userId, previousId: previousId || self().i }, options),
    consent(what) {
      const { state: word = what } = what;
      if (word != what) return add("consent", what);
      note("consent", word);
      // Throws for what is neither yes nor no, before anything changes.
      const [, isYes] = /^(?:(true|yes|granted)|false|no|denied|withdrawn)$/i.exec(word);
      if (isYes) {
        mayStore = 1;
        save({ ...self(), c: 1 });
      } else {
        queued().forEach(remove);
        remove(STATE);
        // A “no” is worth remembering only where nobody asks again.
        setCookie(0, isRequired ? 0 : LONG);
        if (!isRequired) write(STATE, '{"c":0}');
      }
      decide();
      // Nothing of the time between a “no” and a later “yes” is sent.
      isOff = !isYes;
    },
    reset: () => void fresh(),
    ready: (call) => call(api),
    anonymousId: (id) => (id ? fresh(id) : self()).i,
    flush,
    debug(call) {
      if (call) {
        log.forEach((entry) => call(...entry));
        listener = call;
      } else document.head.append(Object.assign(document.createElement("script"), { src: base + "/cdp-debug.js" }));
    },
    push: (...calls) => calls.forEach(guard(([name, ...parts]) => api[name](...parts))),
  };
  Object.keys(api).forEach((name) => (api[name] = guard(api[name], name == "consent")));
  api.version = "1.0.0";

  // --- Forms -----------------------------------------------------------------------------------------
  const submitted = (event) => {
    const form = event.target;
    const button = event.submitter;
    const name = form.dataset.cdpForm;
    if (name == null || form.matches(":invalid")) return;
    const fields = {};
    let user;
    for (const field of form.elements) {
      const label = field.dataset.cdpField;
      if (label == null || field.disabled) continue;
      const secret = /passw|pwd|\bcc-|csrf|token|secret|cv[cv]|card.?n|one-time|^file/i;
      const value =
        field.type == "checkbox"
          ? field.checked
          : field.type == "radio"
          ? field.checked && field.value
          : field.multiple && field.selectedOptions
          ? [...field.selectedOptions].map((one) => one.value)
          : field.value;
      if (secret.test([field.type, label, field.name, field.id, field.autocomplete])) note("skipped", label);
      else if (value || field.type == "checkbox") {
        fields[label || field.name] = value;
        if (field.dataset.cdpIdentify != null) user = value;
      }
    }
    const report = guard(() => {
      const isKnown = (user || mailOf(fields)) && form.dataset.cdpIdentify != "off";
      if (isKnown) meet(user, mailOf(fields));
      add("track", {
        event: "form.submit",
        properties: { form: name, fields, button: button && { name: button.name, value: button.value } },
      });
      if (isKnown) api.identify(user, fields);
    });
    // Pages that send their forms themselves cancel every submit; those that cancel refused ones say so.
    if (form.dataset.cdpCancelled == "ignore") setTimeout(() => event.defaultPrevented || report());
    else report();
  };

  window.cdp = api;
  decide();
  // Before the page's own listeners, which may empty the form.
  addEventListener("submit", guard(submitted), true);
  addEventListener("storage", (event) => {
    // Another tab's consent counts here too.
    if (event.key == STATE) {
      delete memory[STATE];
      decide();
    }
  });
  addEventListener("online", flush);
  const leave = (event) => {
    if (mayStore && (event.type == "pagehide" || document.hidden)) send(1);
  };
  addEventListener("pagehide", leave);
  addEventListener("visibilitychange", leave, true);
  const user = option.userId;
  if (user && digest(user) != state().u) api.identify(user, {}, { userHash: option.userHash });
  if (option.page != "off") api.page();
  if (location.hash == "#cdp-debug") api.debug();
  api.push(...early);
})();
