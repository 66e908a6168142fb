package store

import (
	"errors"
	"fmt"
	"time"
)

// DefaultSkew is how far ahead of the own clock another peer's may be.
const DefaultSkew = time.Minute

// clockWindow is how far ahead of the wall clock a ceiling is reserved;
// clockSpare at least how far ahead of the last version. The window is well
// below DefaultSkew, so that a peer that restarts at its ceiling is believed.
const (
	clockWindow = 10 * time.Second
	clockSpare  = 100 * time.Millisecond
)

// Errors of a Clock.
var (
	// ErrSkew: a version is too far ahead of the own clock to be followed. One of
	// the two peers has a wrong clock.
	ErrSkew = errors.New("version is too far ahead of the clock")
	// ErrReserve: the ceiling is used up; see Clock.Reserve.
	ErrReserve = errors.New("clock needs a new ceiling")
)

// Clock is a hybrid logical clock (Kulkarni et al. 2014): it follows the wall
// clock, never repeats, and is ahead of every version that it observed. It is
// 48 bits of milliseconds and a 16-bit counter that overflows into them.
//
// A clock must not repeat after a restart either, although the wall clock may
// have been set back: it stays below a ceiling that the caller keeps on stable
// storage, and starts from there. Guard a Clock like any plain value.
type Clock struct {
	skew    time.Duration
	last    uint64
	ceiling uint64
	refused uint64
}

// NewClock returns a clock that follows versions up to skew (0: DefaultSkew)
// ahead of it and starts above floor, the last ceiling that was saved.
func NewClock(skew time.Duration, floor uint64) *Clock {
	if skew == 0 {
		skew = DefaultSkew
	}
	return &Clock{skew: skew, last: floor, ceiling: floor}
}

// Next returns the clock of a new version, or ErrReserve. On ErrReserve call
// Reserve, save what it returns, call Reserved, and try again.
func (c *Clock) Next(now time.Time) (uint64, error) {
	t := max(wall(now), c.last+1)
	if t > c.ceiling {
		return 0, ErrReserve
	}
	c.last = t
	return t, nil
}

// Reserve proposes a ceiling for the next while. It changes nothing: the
// caller saves it first.
func (c *Clock) Reserve(now time.Time) uint64 {
	return max(wall(now.Add(clockWindow)), c.last+uint64(clockSpare.Milliseconds())<<16)
}

// Reserved tells the clock that a ceiling is on stable storage.
func (c *Clock) Reserved(ceiling uint64) { c.ceiling = max(c.ceiling, ceiling) }

// Observe moves the clock past a version that another peer issued. It returns
// ErrSkew, and stays, if that is more than skew ahead of now.
func (c *Clock) Observe(now time.Time, v Version) error {
	if ahead := v.Time().Sub(now); ahead > c.skew {
		c.refused++
		return fmt.Errorf("version is %v ahead: %w", ahead.Round(time.Second), ErrSkew)
	}
	c.last = max(c.last, v.Clock)
	return nil
}

// Refused counts the versions that Observe refused.
func (c *Clock) Refused() uint64 { return c.refused }

// wall returns t as a clock with a counter of 0.
func wall(t time.Time) uint64 { return uint64(max(0, t.UnixMilli())) << 16 }
