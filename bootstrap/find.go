package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	dialTime  = 5 * time.Second        // one attempt
	stagger   = 250 * time.Millisecond // before the next contact is tried besides
	maxAtOnce = 4                      // attempts in flight
	firstWait = 250 * time.Millisecond // between rounds, doubling
	lastWait  = 10 * time.Second
)

// Order returns whom to ask, in which order: those given, shuffled so that many
// joiners with one list do not all ask its first, then those remembered, best
// first. A peer appears once, with all addresses known of it.
func Order(given, remembered []Contact, rng *rand.Rand) []Contact {
	given = slices.Clone(given)
	rng.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
	return merge(append(given, remembered...))
}

// Backoff returns how long to wait after round n (counted from 0) of asking
// everybody in vain: 250 ms, doubling up to 10 s, of which a random half.
func Backoff(n int, rng *rand.Rand) time.Duration {
	d := lastWait
	if n < 16 {
		d = min(firstWait<<max(n, 0), lastWait)
	}
	return d/2 + time.Duration(rng.Int64N(int64(d/2)+1))
}

// Find asks contacts in order until one answers, and returns its answer. dial
// asks one; it must obey its context, which ends after 5 s. Further contacts are
// asked besides a slow one, up to four at once; answers after the first are dropped. When all failed they are asked
// again after a pause, until ctx ends; then the error is ErrNoAnswer and says
// what became of each. A contact whose failure is an *Error, such as
// ErrWrongRing, is not asked again; when none is left, that error is returned.
func Find[T any](ctx context.Context, contacts []Contact, rng *rand.Rand, dial func(context.Context, Contact) (T, error)) (T, error) {
	var zero T
	left := slices.Clone(contacts)
	why := make(map[string]error) // last failure of each contact
	for round := 0; len(left) > 0; round++ {
		t, failed, ok := findOnce(ctx, left, dial)
		if ok {
			return t, nil
		}
		for i, err := range failed {
			// What failed because the search ended says nothing about the contact.
			if why[left[i].String()] == nil || ctx.Err() == nil {
				why[left[i].String()] = err
			}
		}
		if ctx.Err() != nil {
			return zero, noAnswer(contacts, why, ctx.Err())
		}
		left = slices.DeleteFunc(left, func(c Contact) bool {
			var e *Error
			return errors.As(why[c.String()], &e)
		})
		if len(left) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return zero, noAnswer(contacts, why, ctx.Err())
		case <-time.After(Backoff(round, rng)):
		}
	}
	for _, c := range contacts {
		if err := why[c.String()]; err != nil {
			return zero, fmt.Errorf("ask %s: %w", c, err)
		}
	}
	return zero, &Error{Code: CodeNoRing, Message: "nobody to ask", Fix: "peer run --join MULTIADDR"}
}

// findOnce asks each contact once. It returns when one has answered or all have
// failed, and in both cases no dial is left running.
func findOnce[T any](ctx context.Context, contacts []Contact, dial func(context.Context, Contact) (T, error)) (T, []error, bool) {
	type answer struct {
		i   int
		t   T
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer)
	ask := func(i int) {
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		t, err := dial(ctx, contacts[i])
		answers <- answer{i, t, err}
	}
	var (
		winner   *answer
		failed   = make([]error, len(contacts))
		asked    int
		inFlight int
		patience = time.NewTicker(stagger)
	)
	defer patience.Stop()
	next := func() {
		if winner == nil && ctx.Err() == nil && asked < len(contacts) && inFlight < maxAtOnce {
			go ask(asked)
			asked++
			inFlight++
		}
	}
	next()
	for inFlight > 0 {
		select {
		case a := <-answers:
			inFlight--
			if a.err != nil {
				failed[a.i] = a.err
				next()
			} else if winner == nil {
				winner = &a
				cancel()
			}
		case <-patience.C:
			next()
		}
	}
	if winner == nil {
		var zero T
		return zero, failed, false
	}
	return winner.t, nil, true
}

// noAnswer tells what became of each contact.
func noAnswer(contacts []Contact, why map[string]error, cause error) error {
	var lines []string
	for _, c := range contacts {
		err := why[c.String()]
		switch {
		case err == nil:
			lines = append(lines, c.String()+": not asked in time")
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			lines = append(lines, c.String()+": no answer")
		default:
			lines = append(lines, c.String()+": "+firstLine(err))
		}
		if len(lines) == 3 && len(contacts) > 3 {
			lines = append(lines, fmt.Sprintf("and %d more", len(contacts)-3))
			break
		}
	}
	return &Error{
		Code:    CodeNoAnswer,
		Message: "no peer answered (" + strings.Join(lines, "; ") + ")",
		Fix:     "run `peer status` on one of those hosts: it prints the addresses to join by; check that a firewall lets UDP and TCP through",
		Err:     cause,
	}
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
