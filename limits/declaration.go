package limits

import "fmt"

// A Declaration describes one field of [Options] that limits something. Programs use it to make a
// flag, a table or a metric for each limit.
type Declaration struct {
	Option  string // the name of the field, such as MaxFetches
	Help    string // what it limits, in a few words
	Time    bool   // it is a time.Duration, otherwise a number
	Default int64  // in DefaultOptions; a time is in nanoseconds
	Answer  string // what the client reads, such as "NO [LIMIT] …"; "" without one of its own

	limit *limit
}

// Declared returns the declaration of each limit, in the order of Options.
func Declared() []Declaration {
	all := make([]Declaration, len(declared))
	for i, l := range declared {
		all[i] = Declaration{l.option, l.help, l.isTime, l.initial, "", l}
		if l.answer != nil {
			all[i].Answer = fmt.Sprintf("%s [%s] %s", l.answer.Type, l.answer.Code, l.answer.Text)
		}
	}
	return all
}

// Value returns the limit's value in the options; a time is in nanoseconds.
func (d Declaration) Value(options *Options) int64 { return d.limit.field(options).Int() }

// Refused returns how often the limit refused or stopped something. ok is false for a limit that is
// counted under another one. Limits with the same answer share one count.
func (d Declaration) Refused(stats Stats) (n uint64, ok bool) {
	if d.limit.count == nil {
		return 0, false
	}
	return *d.limit.count(&stats), true
}

// InUse returns how much of the limit is in use; ok is false if that is not counted.
func (d Declaration) InUse(stats Stats) (n int, ok bool) {
	if d.limit.inUse == nil {
		return 0, false
	}
	return *d.limit.inUse(&stats), true
}

// Waiting returns how many wait because of the limit; ok is false if nothing waits for it.
func (d Declaration) Waiting(stats Stats) (n int, ok bool) {
	if d.limit.waits == nil {
		return 0, false
	}
	return *d.limit.waits(&stats), true
}
