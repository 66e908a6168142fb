package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	barWidth = 30
	barEvery = 100 * time.Millisecond
)

// progressBar shows on a terminal how far something is that is counted in bytes: those
// written to it.
type progressBar struct {
	c     *console
	what  string
	of    int64 // 0: unknown
	done  int64
	began time.Time
	shown time.Time
}

func (c *console) newBar(what string, of int64) *progressBar {
	return &progressBar{c: c, what: what, of: of, began: time.Now()}
}

// Write counts p.
func (b *progressBar) Write(p []byte) (int, error) {
	b.done += int64(len(p))
	if now := time.Now(); now.Sub(b.shown) >= barEvery {
		b.shown = now
		b.c.progress("%s", b.line(now))
	}
	return len(p), nil
}

// line is what the bar looks like.
func (b *progressBar) line(now time.Time) string {
	rate := float64(b.done) / max(now.Sub(b.began).Seconds(), 1e-3)
	if b.of <= 0 {
		return fmt.Sprintf("%s  %s  %s/s", b.what, byteCount(b.done), byteCount(int64(rate)))
	}
	part := min(float64(b.done)/float64(b.of), 1)
	full := int(part * barWidth)
	left := time.Duration(float64(b.of-b.done) / max(rate, 1) * float64(time.Second))
	return fmt.Sprintf("%s  [%s%s] %3.0f%%  %s of %s  %s/s  %v left", b.what,
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*part,
		byteCount(b.done), byteCount(b.of), byteCount(int64(rate)), max(left, 0).Round(time.Second))
}

// end clears the bar.
func (b *progressBar) end() {
	if !b.shown.IsZero() {
		b.c.progress("")
	}
}

// byteCount writes "512 B", "1.5 KiB" or "2.0 GiB".
func byteCount(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1<<10 && unit < 3 {
		v, unit = v/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGT"[unit])
}
