// Puts the figures of the server into the page, once a second. All words come from there.

const EVERY_MS = 1000
const WIDTH = 600
const HEIGHT = 120
/** Seconds on the time axis at least; it grows with what there is to show. */
const SECONDS_MIN = 60

const mounts = document.getElementById('mounts')
const pause = document.getElementById('pause')
const nothing = mounts.firstElementChild
let paused = false

pause.addEventListener('click', () => {
  paused = !paused
  pause.setAttribute('aria-pressed', String(paused))
})

function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true)
}

function element(name, text, className) {
  const made = document.createElement(name)
  made.textContent = text
  if (className) made.className = className
  return made
}

function drawLine({ values }, max) {
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline')
  const seconds = Math.max(SECONDS_MIN, values.length)
  const first = seconds - values.length
  const points = values.map((value, index) => {
    const x = ((first + index) / (seconds - 1)) * WIDTH
    return `${x.toFixed(1)},${(HEIGHT - (value / max) * (HEIGHT - 4) - 2).toFixed(1)}`
  })
  line.setAttribute('points', points.join(' '))
  return line
}

/** The first line is drawn through, the second in dashes; the legend says so in signs. */
function drawChart({ title, text, max, maxText, lines }) {
  const figure = clone('chart')
  figure.querySelector('strong').textContent = title
  figure.querySelector('span').textContent = text
  const svg = figure.querySelector('svg')
  svg.querySelector('title').textContent = `${title}: ${text}`
  svg.append(...lines.map((line) => drawLine(line, max)))
  const names = lines.map(({ name }, index) => `${['──', '╌╌'][index]} ${name}`)
  const seconds = Math.max(SECONDS_MIN, ...lines.map(({ values }) => values.length))
  const legend = [...names, `↑ ${maxText}`, `→ ${seconds} s`].join(' · ')
  figure.querySelector('.legend').textContent = legend
  return figure
}

function drawRow({ path, state, done, size, rate, age, trouble }) {
  const row = document.createElement('tr')
  const name = element('td', path, 'path')
  if (trouble) name.append(element('p', trouble, 'trouble'))
  const progress = document.createElement('td')
  if (done !== null) {
    const bar = document.createElement('progress')
    bar.value = done
    bar.setAttribute('aria-label', path)
    progress.append(bar, ` ${Math.floor(done * 100)}%`)
  }
  row.append(name, element('td', state), progress)
  row.append(...[size, rate, age].map((text) => element('td', text)))
  return row
}

function drawMount({ pid, title, facts, queue, more, charts }) {
  const section = clone('mount')
  section.dataset.pid = pid
  section.querySelector('h2').textContent = title
  section
    .querySelector('dl')
    .append(...facts.flatMap(([name, text]) => [element('dt', name), element('dd', text)]))
  section.querySelector('.charts').append(...charts.map(drawChart))
  section.querySelector('tbody').append(...queue.map(drawRow))
  section.querySelector('table').hidden = queue.length === 0
  section.querySelector('.empty').hidden = queue.length > 0
  section.querySelector('.more').textContent = more
  return section
}

/** Read out when it changes: what needs somebody, not every byte. */
function announce(data) {
  const troubles = data.mounts.flatMap(({ queue }) => queue.map(({ trouble }) => trouble))
  const text = [...new Set(troubles.filter(Boolean))].join(' ')
  const news = document.getElementById('news')
  if (news.textContent !== text) news.textContent = text
}

async function update() {
  if (paused) return
  try {
    const data = await (await fetch('data')).json()
    mounts.replaceChildren(...(data.mounts.length > 0 ? data.mounts.map(drawMount) : [nothing]))
    announce(data)
    document.getElementById('lost').hidden = true
  } catch {
    document.getElementById('lost').hidden = false
  }
}

await update()
setInterval(update, EVERY_MS)
