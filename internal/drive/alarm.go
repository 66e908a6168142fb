package drive

import "time"

// alarm is a timer that is only touched when its time changes.
type alarm struct {
	t  *time.Timer
	at time.Time // when it is set for; zero: not set
}

func newAlarm() *alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &alarm{t: t}
}

// C delivers when the time set has come; call fired then.
func (a *alarm) C() <-chan time.Time { return a.t.C }

// fired notes that C delivered.
func (a *alarm) fired() { a.at = time.Time{} }

// set makes the alarm ring at the given time, at once if that is past, and
// never if it is zero.
func (a *alarm) set(at, now time.Time) {
	switch {
	case at.Equal(a.at):
	case at.IsZero():
		a.t.Stop()
	default:
		a.t.Reset(at.Sub(now))
	}
	a.at = at
}

func (a *alarm) stop() { a.t.Stop() }
