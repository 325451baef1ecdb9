// The judgement in words: one line of counts, and for each violation what its subscriber saw around it.

const AROUND = 5;
const OF_A_KIND = 2;

export function countsText(counts) {
  const gaps = Object.entries(counts.gaps).map(([reason, n]) => `${n} ${reason}`).join(', ') || 'none';
  const f = counts.faults;
  return [
    `published ${counts.published}: ${counts.acked} acknowledged, ${counts.unknown} unknown (${counts.recovered} of those in the log)`,
    `in Redis: ${counts.kept} kept, ${counts.removed} removed by an operator, ${counts.lost} lost (${counts.ackedLost} acknowledged)`,
    `delivered ${counts.delivered}, resumes ${counts.resumes}, late ${counts.late}, gaps told: ${gaps}`,
    `faults: ${f.missing} missing, ${f.repeated} repeated, ${f.outOfOrder} out of order, ${f.undetected} undetected losses, ${f.gapMissing} gaps not told, ` +
      `${f.falseGap} false gaps, ${f.phantom} phantoms, ${f.ackedLost} lost without a cause, ${f.torn} torn, ${f.twice} twice, ${f.reused} ids reused, ${f.noStart} streams without a beginning`,
  ].join('\n');
}

export function entryText(entry) {
  const at = entry.t === undefined ? '' : `${(entry.t / 1000).toFixed(3)} `;
  switch (entry.k) {
    case 'event': return `${at}event ${entry.id} ${entry.topic} n=${entry.n}`;
    case 'gap': return `${at}gap ${entry.topic} after=${entry.after} next=${entry.next} ${entry.reason}`;
    case 'connect': return `${at}connect ${entry.node ?? ''} cursor=${entry.cursor ?? 'none'}`;
    case 'open': return `${at}open ${entry.id ?? 'without an id'}`;
    case 'cut': return `${at}cut (${entry.why})`;
    default: return `${at}${entry.k} ${entry.type ?? ''}`;
  }
}

export function violationText(record, violation) {
  const lines = [`${violation.kind}: ${violation.subscriber ?? 'Redis'} ${violation.topic ?? ''} ${violation.id ?? ''}: ${violation.text}`];
  const subscriber = record.subscribers.find((s) => s.name === violation.subscriber);
  if (!subscriber || violation.at === undefined) return lines.join('\n');
  lines.push(`  follows ${subscriber.patterns.join(', ')}`);
  const from = Math.max(0, violation.at - AROUND);
  subscriber.trace.slice(from, violation.at + AROUND + 1).forEach((entry, i) => {
    lines.push(`  ${from + i === violation.at ? '>' : ' '} ${from + i} ${entryText(entry)}`);
  });
  return lines.join('\n');
}

// One of each kind and subscriber in full, the first ones of all kinds.
export function violationsText(record, violations) {
  const first = new Map();
  for (const violation of violations) {
    const key = `${violation.kind} ${violation.subscriber ?? ''}`;
    if (!first.has(key)) first.set(key, violation);
  }
  const byKind = new Map();
  for (const violation of first.values()) byKind.set(violation.kind, [...(byKind.get(violation.kind) ?? []), violation]);
  const shown = [...byKind.values()].flatMap((list) => list.slice(0, OF_A_KIND));
  const lines = shown.map((violation) => violationText(record, violation));
  if (violations.length > shown.length) lines.push(`... and ${violations.length - shown.length} more`);
  return lines.join('\n');
}
