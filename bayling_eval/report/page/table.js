'use strict';
(() => {
  const collator = new Intl.Collator('en', { sensitivity: 'base' });
  const filters = new Map();

  function sort(th) {
    const table = th.closest('table');
    const body = table.tBodies[0];
    const heads = [...th.parentNode.children];
    const column = heads.indexOf(th);
    const numeric = th.dataset.t !== 'text';
    const down = th.getAttribute('aria-sort') === 'ascending';
    const keyed = [...body.rows].map((row) => ({ row, key: row.cells[column].dataset.s }));
    const missing = keyed.filter((one) => one.key === undefined);
    const present = keyed.filter((one) => one.key !== undefined);
    const order = numeric
      ? (a, b) => Number(a.key) - Number(b.key)
      : (a, b) => collator.compare(a.key, b.key);
    // Array.sort is stable; turning the order round, not the result, keeps ties as they were.
    present.sort(down ? (a, b) => order(b, a) : order);
    heads.forEach((head) => head.removeAttribute('aria-sort'));
    th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    body.append(...present.map((one) => one.row), ...missing.map((one) => one.row));
  }

  function folded(text) {
    return text.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '').replace(/[‘’ʻʼ`]/g, "'");
  }

  class Filter {
    constructor(bar) {
      this.section = bar.closest('section');
      this.rows = [...this.section.querySelector('.sortable').tBodies[0].rows];
      this.texts = this.rows.map((row) => folded(row.dataset.q));
      this.fields = [...bar.querySelectorAll('[name]')];
      this.count = bar.querySelector('output');
      this.button = bar.querySelector('button');
      this.fields.forEach((field) => field.addEventListener('input', () => this.changed()));
      this.button.addEventListener('click', () => {
        this.set({});
        this.changed();
        this.fields[0].focus();
      });
      this.apply();
      bar.hidden = false;
    }

    set(values) {
      this.fields.forEach((field) => {
        field.value = values[field.name] ?? '';
        // An option that is not there leaves a select without any.
        if (field.selectedIndex === -1) field.value = '';
      });
      this.apply();
    }

    apply() {
      const words = folded(this.fields[0].value).split(/[\s→]+/);
      const chosen = this.fields.slice(1).filter((field) => field.value);
      let shown = 0;
      this.rows.forEach((row, index) => {
        const fits = words.every((word) => this.texts[index].includes(word))
          && chosen.every((field) => row.dataset[field.name] === field.value);
        row.hidden = !fits;
        shown += fits;
      });
      this.count.textContent = `${shown} of ${this.rows.length} shown`;
      this.button.disabled = this.fields.every((field) => !field.value);
    }

    changed() {
      this.apply();
      const used = this.fields.filter((field) => field.value);
      const state = new URLSearchParams(used.map((field) => [field.name, field.value]));
      const base = `#${this.section.id}`;
      if (!used.length && !location.hash.startsWith(`${base}?`)) return;
      try {
        history.replaceState(null, '', used.length ? `${base}?${state}` : base);
      } catch {
        // A browser may refuse many changes in a short time; the filter holds all the same.
      }
    }
  }

  function revealed(element) {
    element.dispatchEvent(new CustomEvent('reveal', { bubbles: true }));
  }

  // #lang-amh_Ethi: all rows of a language; without a filter the first of them.
  function language(key) {
    const spoken = (row) => [...row.querySelectorAll('.l code')].some((c) => c.textContent === key);
    const found = [...document.querySelectorAll('.sortable tbody tr')].filter(spoken);
    new Set(found.map((row) => filters.get(row.closest('section')))).forEach((filter) => {
      if (filter) filter.set({ s: key });
    });
    if (found.length) revealed(found[0]);
  }

  function follow() {
    const [, id, state] = location.hash.match(/^#([\w-]+)\?(.*)$/) ?? [];
    const filter = id && filters.get(document.getElementById(id));
    if (filter) {
      filter.set(Object.fromEntries(new URLSearchParams(state)));
      revealed(filter.section);
    } else if (location.hash.startsWith('#lang-')) {
      language(location.hash.slice('#lang-'.length));
    }
  }

  document.querySelectorAll('.sortable th button').forEach((button) => {
    button.addEventListener('click', () => sort(button.closest('th')));
  });
  document.querySelectorAll('.filter').forEach((bar) => {
    const filter = new Filter(bar);
    filters.set(filter.section, filter);
  });
  // Before it is scrolled to: a link to a row that is filtered out ends the filter.
  document.addEventListener('reveal', (event) => {
    const row = event.target.closest('tr[hidden]');
    if (row) filters.get(row.closest('section')).set({});
  }, true);
  addEventListener('hashchange', follow);
  addEventListener('load', follow);
})();
