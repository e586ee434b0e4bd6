/*
 * analytics.js: the address a page's standard snippet loads, served as /analytics.js/v1/<write key>/analytics.min.js.
 *
 * The snippet's stub puts calls into a list until this script is there. It loads cdp.js, makes those calls in their
 * order, and from then on is window.analytics itself: the methods pages call, each passed on to window.cdp. ES2018,
 * no dependencies. What it has no use for (middleware, plugins of other vendors) it accepts and ignores.
 */
(() => {
  "use strict";
  const PATH = "/analytics.js/v1/";
  const script = document.currentScript || document.querySelector(`script[src*="${PATH}"]`);
  const [base, rest] = script.src.split(PATH);
  const name = script.getAttribute("data-global-segment-analytics-key") || "analytics";
  // The same object goes on: pages and stubs keep references to it.
  const analytics = (window[name] = window[name] || []);
  if (analytics.initialized) return;
  const loadOptions = analytics._loadOptions || {};
  const listeners = {};
  let user = { traits: {} };
  let group = { traits: {} };

  const emit = (event, ...parts) => (listeners[event] || []).slice().forEach((call) => call(...parts));
  const isObject = (value) => value !== null && typeof value === "object";

  // --- What a call was given ---------------------------------------------------------------------------
  // New stubs put where the page was at the time behind the arguments; a function anywhere is the callback.
  const read = (parts) => {
    const given = [...parts];
    const last = given[given.length - 1];
    const page = isObject(last) && last.__t === "bpc" ? given.pop() : null;
    const callback = given.find((part) => typeof part === "function");
    return { given: given.filter((part) => typeof part !== "function"), page, callback };
  };
  // Options are the call's context here; what stands in their own context goes first.
  const contextOf = (options, page) => {
    const { context, ...others } = isObject(options) ? options : {};
    const plain = (address) => String(address || "").split(/[?#]/)[0];
    const where = page && { page: { path: page.p, url: plain(page.u), title: page.t, referrer: plain(page.r) } };
    return { ...where, ...others, ...context };
  };
  const done = (event, messageId, parts, callback) => {
    emit(event, ...parts);
    const context = { event: { type: event, messageId } };
    if (callback) setTimeout(() => callback(context), 0);
    return Promise.resolve(context);
  };

  // --- The methods of a page ---------------------------------------------------------------------------
  const viewed = (type) => (...parts) => {
    const { given, page, callback } = read(parts);
    const texts = [];
    while (given.length && !isObject(given[0])) texts.push(given.shift());
    const named = texts.filter((text) => text !== null && text !== undefined);
    const title = named.length > 1 ? named[1] : named[0];
    const [properties, options] = given;
    const whole = { ...(named.length > 1 && { category: named[0] }), ...properties };
    const id = window.cdp[type](title || "", whole, contextOf(options, page));
    return done(type, id, [named.length > 1 ? named[0] : null, title, whole], callback);
  };
  const api = {
    identify(...parts) {
      const { given, page, callback } = read(parts);
      if (isObject(given[0])) given.unshift(null);
      const [id, traits, options] = given;
      const userId = id === null || id === undefined ? "" : String(id);
      user = {
        id: userId || user.id,
        traits: { ...(userId && user.id && userId !== user.id ? {} : user.traits), ...traits },
      };
      const messageId = window.cdp.identify(userId, traits || {}, contextOf(options, page));
      return done("identify", messageId, [userId || null, traits, options], callback);
    },
    track(...parts) {
      const { given, page, callback } = read(parts);
      const [event, properties, options] = given;
      const messageId = window.cdp.track(event, properties || {}, contextOf(options, page));
      return done("track", messageId, [event, properties, options], callback);
    },
    page: viewed("page"),
    screen: viewed("screen"),
    group(...parts) {
      const { given, page, callback } = read(parts);
      if (!given.length) return { id: () => group.id || null, traits: () => group.traits };
      if (isObject(given[0])) given.unshift(group.id);
      const [id, traits, options] = given;
      group = { id, traits: { ...(id === group.id ? group.traits : {}), ...traits } };
      const messageId = window.cdp.group(id, traits || {}, contextOf(options, page));
      return done("group", messageId, [id, traits, options], callback);
    },
    alias(...parts) {
      const { given, page, callback } = read(parts);
      const [to, from, options] = given.length > 1 && isObject(given[1]) ? [given[0], null, given[1]] : given;
      const messageId = window.cdp.alias(to, from || undefined, contextOf(options, page));
      return done("alias", messageId, [to, from, options], callback);
    },
    reset() {
      user = { traits: {} };
      group = { traits: {} };
      window.cdp.reset();
      emit("reset");
    },
    setAnonymousId: (id) => window.cdp.anonymousId(id),
    user: () => ({
      id: () => user.id || null,
      anonymousId: (id) => window.cdp.anonymousId(id),
      traits: () => user.traits,
      logout: api.reset,
      reset: api.reset,
    }),
    ready(callback) {
      if (callback) setTimeout(callback, 0);
      return Promise.resolve();
    },
    on(event, call) {
      listeners[event] = [...(listeners[event] || []), call];
      return analytics;
    },
    once(event, call) {
      const first = (...parts) => {
        analytics.off(event, first);
        call(...parts);
      };
      return analytics.on(event, first);
    },
    off(event, call) {
      listeners[event] = (listeners[event] || []).filter((known) => call && known !== call);
      return analytics;
    },
    trackLink: (links, event, properties) => bound(links, "click", event, properties),
    trackForm: (forms, event, properties) => bound(forms, "submit", event, properties),
    debug: (isOn) => isOn !== false && window.cdp.debug(),
    pageview: (url) => api.page(url ? { url } : {}),
    push: (...calls) => calls.forEach(run),
  };
  api.trackClick = api.trackLink;
  api.trackSubmit = api.trackForm;
  // Nothing waits for the answer: what is on its way survives the page.
  const bound = (elements, on, event, properties) => {
    const list = elements instanceof Element ? [elements] : [...(elements || [])];
    const value = (given, element) => (typeof given === "function" ? given(element) : given);
    list.forEach((element) =>
      element.addEventListener(on, () => analytics.track(value(event, element), value(properties, element)))
    );
    return analytics;
  };
  // A mistake in one call must not keep the others back.
  const run = ([method, ...parts]) => {
    try {
      if (typeof api[method] === "function") api[method](...parts);
    } catch (error) {
      setTimeout(() => {
        throw error;
      }, 0);
    }
  };

  // --- Once cdp.js is there ----------------------------------------------------------------------------
  const start = () => {
    const waiting = Array.isArray(analytics) ? analytics.splice(0) : [];
    (analytics.methods || []).forEach((method) => {
      if (!api[method]) analytics[method] = () => analytics;
    });
    Object.assign(analytics, api, { initialized: true, version: window.cdp.version, load: () => analytics });
    if (loadOptions.initialPageview) api.page();
    waiting.forEach(run);
    emit("ready");
  };
  const isOff = typeof loadOptions.disable === "function" ? loadOptions.disable({}) : loadOptions.disable;
  if (isOff === true) return;
  if (window.cdp && window.cdp.version) return start();
  const loader = document.createElement("script");
  loader.src = `${base}/cdp.js`;
  loader.async = true;
  loader.dataset.key = decodeURIComponent(rest.split("/")[0]);
  loader.dataset.page = "off";
  loader.onload = start;
  document.head.append(loader);
})();
