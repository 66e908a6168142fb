package compute

import (
	"slices"
	"strings"
	"time"
)

// latePrefix begins the error of a task that its job's deadline has ended.
const latePrefix = "the deadline of its job passed, "

// Late reports whether an error of a task says that the deadline of its job ended it.
func Late(err string) bool { return strings.HasPrefix(err, latePrefix) }

// late is the error of the tasks that a job's deadline has ended.
func (j *job) late() string {
	return latePrefix + j.deadline.Sub(j.submitted).Round(time.Millisecond).String() + " after it was submitted"
}

// watchDeadline sees to it that a job ends in time.
func (s *Scheduler) watchDeadline(j *job) {
	if !j.deadline.IsZero() {
		s.owner.endAt = min(s.owner.endAt, s.inner(j.deadline))
	}
}

// inner returns the instant of a time by the driver's clock, if nothing stalls
// until then; the present one if it is past.
func (s *Scheduler) inner(t time.Time) instant { return max(t.Sub(s.start)-s.stalled, s.now) }

// expireJobs ends the jobs whose deadline has passed, and stops their tasks
// everywhere: a holder that does not hear of it is told when it next reports.
func (s *Scheduler) expireJobs() {
	if s.now < s.owner.endAt {
		return
	}
	s.owner.endAt = never
	for _, j := range slices.Clone(s.owner.order) {
		switch {
		case j.left == 0 || j.deadline.IsZero():
		case s.inner(j.deadline) <= s.now:
			j.expired = true
			s.endJob(j, j.late())
		default:
			s.watchDeadline(j)
		}
	}
}
