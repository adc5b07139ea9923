'use strict';
(() => {
  const section = document.getElementById('samples');
  if (!section) return;

  const box = document.getElementById('differences');
  if (box) {
    const button = box.querySelector('button');
    box.hidden = false;
    button.addEventListener('click', () => {
      const plain = section.classList.toggle('plain');
      button.setAttribute('aria-pressed', String(!plain));
    });
  }

  // What is in files of its own. From a disk no script may be loaded with `integrity` (Chromium
  // 156), but digests can be computed; over http it is the other way round, unless it is https.
  const subtle = globalThis.crypto && crypto.subtle;
  const onDisk = location.protocol === 'file:';
  const asked = new Map();

  async function unpacked(key, packed, integrity) {
    if (subtle) {
      const file = new TextEncoder().encode(`bayling.chunk(${JSON.stringify(key)},"${packed}");\n`);
      const digest = new Uint8Array(await subtle.digest('SHA-256', file));
      if (`sha256-${btoa(String.fromCharCode(...digest))}` !== integrity) {
        throw new Error('is not the file that was written with this page, and is not shown');
      }
    } else if (onDisk) {
      throw new Error('cannot be checked by this browser, and is not shown');
    }
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).text();
  }

  function load(later) {
    const { key, integrity } = later.dataset;
    if (asked.has(key)) return asked.get(key).done;
    const entry = {};
    entry.done = new Promise((resolve, reject) => {
      Object.assign(entry, { integrity, resolve, reject });
    })
      .then((html) => {
        // A parsed document runs no script, and the page's policy allows none but its own.
        const parsed = new DOMParser().parseFromString(html, 'text/html');
        later.replaceWith(...parsed.body.childNodes);
      })
      .catch((fault) => {
        const line = later.querySelector('p');
        line.className = 'failed';
        line.textContent = `samples/${key}.js ${fault.message}.`;
      });
    asked.set(key, entry);
    const script = document.createElement('script');
    script.src = `samples/${key}.js`;
    if (!onDisk) script.integrity = integrity;
    const why = onDisk ? 'is not there' : 'is not there, or is not the file written with this page';
    script.onerror = () => entry.reject(new Error(`could not be read: it ${why}`));
    script.onload = () => entry.reject(new Error('holds no samples of this page'));
    document.head.append(script);
    return entry.done;
  }

  globalThis.bayling = Object.freeze({
    chunk(key, packed) {
      const entry = asked.get(key);
      if (entry) entry.resolve(unpacked(key, packed, entry.integrity));
    },
  });

  function follow() {
    const id = location.hash.slice(1);
    const named = /^s-(.+)-\d+$/.exec(id);
    const fold = named && !document.getElementById(id) && document.getElementById(`samples-${named[1]}`);
    const later = fold && fold.querySelector('.later');
    if (!later) return;
    fold.open = true;
    load(later).then(() => {
      const target = document.getElementById(id) || fold;
      target.dispatchEvent(new CustomEvent('reveal', { bubbles: true }));
    });
  }

  section.addEventListener(
    'toggle',
    (event) => {
      const later = event.target.open && event.target.querySelector('.later');
      // What is opened for printing would come too late.
      if (later && !('printed' in event.target.dataset)) load(later);
    },
    true,
  );
  addEventListener('hashchange', follow);
  follow();
})();
