// Package stack has the stacks of packages that the tests of all four together run: each package
// alone in each of its modes, all of them without options, with their defaults, and with everything
// on.
package stack

import (
	"fmt"
	"maps"
	"slices"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// NewSessionFunc is what an [imapserver.Server] calls for each connection.
type NewSessionFunc = func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error)

var stacks = map[string]func(NewSessionFunc) NewSessionFunc{
	"bare":           func(next NewSessionFunc) NewSessionFunc { return next },
	"limits-zero":    func(next NewSessionFunc) NewSessionFunc { return limits.New(nil).Wrap(next) },
	"limits":         func(next NewSessionFunc) NewSessionFunc { return limits.New(limits.DefaultOptions()).Wrap(next) },
	"limits-dry-run": dryRun,
	"vfolders":       func(next NewSessionFunc) NewSessionFunc { return vfolders.Wrap(next, nil) },
	"vfolders-noselect": func(next NewSessionFunc) NewSessionFunc {
		return vfolders.Wrap(next, &vfolders.Options{Mode: vfolders.NoSelect})
	},
	"copymeta-zero":     func(next NewSessionFunc) NewSessionFunc { return copymeta.Wrap(next, nil) },
	"copymeta-preserve": func(next NewSessionFunc) NewSessionFunc { return copies(next, copymeta.Preserve) },
	"copymeta-reset":    func(next NewSessionFunc) NewSessionFunc { return copies(next, copymeta.Reset) },
	"idle-zero":         func(next NewSessionFunc) NewSessionFunc { return idle.Wrap(next, nil) },
	"idle-poll":         func(next NewSessionFunc) NewSessionFunc { return idle.Wrap(next, &idle.Options{Mode: idle.Poll}) },
	"idle-off":          func(next NewSessionFunc) NewSessionFunc { return idle.Wrap(next, &idle.Options{Mode: idle.Off}) },
	"zero":              func(next NewSessionFunc) NewSessionFunc { return all(next, nil, idle.On, copymeta.Keep) },
	"defaults": func(next NewSessionFunc) NewSessionFunc {
		return all(next, limits.DefaultOptions(), idle.On, copymeta.Keep)
	},
	"everything": func(next NewSessionFunc) NewSessionFunc {
		return all(next, limits.DefaultOptions(), idle.Poll, copymeta.Preserve)
	},
}

func dryRun(next NewSessionFunc) NewSessionFunc {
	options := limits.DefaultOptions()
	options.DryRun = true
	return limits.New(options).Wrap(next)
}

func copies(next NewSessionFunc, policy copymeta.Policy) NewSessionFunc {
	return copymeta.Wrap(next, &copymeta.Options{InternalDate: policy, Flags: policy, Move: true})
}

func all(
	next NewSessionFunc, options *limits.Options, mode idle.Mode, policy copymeta.Policy,
) NewSessionFunc {
	next = copies(next, policy)
	next = vfolders.Wrap(next, nil)
	next = idle.Wrap(next, &idle.Options{Mode: mode})
	return limits.New(options).Wrap(next)
}

// Names returns the names of all stacks, in alphabetical order. "bare" is the one without any
// package.
func Names() []string { return slices.Sorted(maps.Keys(stacks)) }

// Wrap puts the stack of that name around the sessions of next. It panics if there is none.
func Wrap(name string, next NewSessionFunc) NewSessionFunc {
	stack, ok := stacks[name]
	if !ok {
		panic(fmt.Sprintf("stack: %q is none of %q", name, Names()))
	}
	return stack(next)
}
