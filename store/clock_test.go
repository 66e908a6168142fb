package store

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A clock must be above all that it issued, in this life or a former one, and
// above all that it agreed to follow, whatever the wall clock does.
func TestClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var saved uint64 // the ceiling on disk
		wall := time.UnixMilli(1_700_000_000_000)
		c := NewClock(0, saved)
		var issued, floor uint64
		t.Repeat(map[string]func(*rapid.T){
			"wall": func(t *rapid.T) {
				wall = wall.Add(time.Duration(rapid.Int64Range(-100_000, 100_000).Draw(t, "ms")) * time.Millisecond)
			},
			"next": func(t *rapid.T) {
				v, err := c.Next(wall)
				if errors.Is(err, ErrReserve) {
					saved = c.Reserve(wall)
					c.Reserved(saved)
					v, err = c.Next(wall)
				}
				if err != nil {
					t.Fatal(err)
				}
				if v <= issued || v <= floor {
					t.Fatalf("issued %x after %x, having followed %x", v, issued, floor)
				}
				if v < uint64(wall.UnixMilli())<<16 {
					t.Fatalf("issued %x, behind the wall clock", v)
				}
				issued = v
			},
			"observe": func(t *rapid.T) {
				at := wall.Add(time.Duration(rapid.Int64Range(-100_000, 100_000).Draw(t, "ahead")) * time.Millisecond)
				v := Version{Clock: uint64(at.UnixMilli())<<16 | 7}
				before := c.Refused()
				err := c.Observe(wall, v)
				if far := at.Sub(wall) > DefaultSkew; far != errors.Is(err, ErrSkew) || far != (c.Refused() > before) {
					t.Fatalf("%v ahead: %v", at.Sub(wall), err)
				}
				if err == nil {
					floor = max(floor, v.Clock)
				}
			},
			"restart": func(*rapid.T) {
				c = NewClock(0, saved)
				floor = 0 // what was followed and not issued is forgotten
			},
		})
	})
}

// A peer that crashes in a loop must not run ahead of what others believe.
func TestClockRestartsStayClose(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	var saved uint64
	for range 100 {
		c := NewClock(0, saved)
		saved = c.Reserve(wall)
		c.Reserved(saved)
		if _, err := c.Next(wall); err != nil {
			t.Fatal(err)
		}
		wall = wall.Add(200 * time.Millisecond)
	}
	if ahead := (Version{Clock: saved}).Time().Sub(wall); ahead > clockWindow {
		t.Errorf("%v ahead after 100 restarts", ahead)
	}
}

func TestClockOverflow(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	c := NewClock(0, 0)
	c.Reserved(c.Reserve(wall))
	var last uint64
	for range 1<<16 + 10 { // more than the counter holds, in one millisecond
		v, err := c.Next(wall)
		if err != nil || v <= last {
			t.Fatalf("%x after %x: %v", v, last, err)
		}
		last = v
	}
	if _, err := c.Next(time.UnixMilli(-5)); err != nil {
		t.Errorf("before 1970: %v", err)
	}
}
