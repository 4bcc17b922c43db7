package mailserver

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
)

// settings are the values of the flags.
type settings struct {
	extension         Extension
	listen, listenTLS string // "" is off
	tlsCert, tlsKey   string
	status            string // "" is off
	statusAdmin       bool
	mail              string
	users             string
	accounts          []account // what users says
	shared            []sharedFolder
	delays            delays
	copies            copymeta.Options
	virtualFolders    virtualFolders
	idle              idle.Options
	limits            limits.Options
	unlimitedUsers    []string
}

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// wrongValue returns the error of a flag, in the words of package flag.
func wrongValue(name, value string, err error) error {
	return &usageError{fmt.Errorf("invalid value %q for flag -%s: %w", value, name, err)}
}

// newFlags returns the flags, which set s. Each part of the server has its own function that adds
// some.
func newFlags(s *settings) *flag.FlagSet {
	flags := flag.NewFlagSet(s.extension.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	listenFlags(flags, s)
	statusFlags(flags, s)
	backendFlags(flags, s)
	s.delays.flags(flags)
	copyFlags(flags, &s.copies)
	virtualFolderFlags(flags, &s.virtualFolders)
	idleFlags(flags, &s.idle)
	limitFlags(flags, s)
	if s.extension.Flags != nil {
		s.extension.Flags(flags)
	}
	return flags
}

// parse returns the settings, flag.ErrHelp, or a usageError.
func parse(args []string, extension Extension) (*settings, error) {
	s := &settings{extension: extension}
	flags := newFlags(s)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, &usageError{err}
	}
	if flags.NArg() > 0 {
		return nil, &usageError{
			fmt.Errorf("unexpected argument %q: everything is set by flags", flags.Arg(0)),
		}
	}
	if err := s.checkListen(); err != nil {
		return nil, err
	}
	if err := s.checkStatus(); err != nil {
		return nil, err
	}
	if err := checkIdle(&s.idle); err != nil {
		return nil, err
	}
	if err := checkCopies(&s.copies); err != nil {
		return nil, err
	}
	if err := s.virtualFolders.check(); err != nil {
		return nil, err
	}
	if s.limits.JoinRunning && !s.limits.ShareSearches {
		return nil, wrongValue("join-running", "true", errors.New("it needs -share-searches"))
	}
	var err error
	if s.accounts, err = parseUsers(s.users); err != nil {
		return nil, err
	}
	return s, s.checkUnlimitedUsers()
}

func printUsage(w io.Writer, extension Extension) {
	flags := newFlags(&settings{extension: extension})
	flags.SetOutput(w)
	fmt.Fprintln(
		w,
		"An IMAP server with the mail in memory, and the packages of imapgate in front of it.\n\nFlags:",
	)
	flags.PrintDefaults()
}

// value is the flag.Value of a variable of any type.
type value[T any] struct {
	variable *T
	parse    func(text string) (T, error)
}

func (v value[T]) String() string {
	if v.variable == nil { // package flag asks for the text of a zero value
		return ""
	}
	return fmt.Sprint(*v.variable)
}

func (v value[T]) Set(text string) (err error) {
	parsed, err := v.parse(text)
	if err == nil {
		*v.variable = parsed
	}
	return err
}

// numberFlag adds a flag that takes 0 or a positive number.
func numberFlag[N int | int64](flags *flag.FlagSet, variable *N, name, usage string) {
	flags.Var(value[N]{variable, func(text string) (N, error) {
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		if err != nil || n < 0 {
			return 0, errors.New("it takes a whole number, 0 or more")
		}
		return N(n), nil
	}}, name, usage)
}

// durationFlag adds a flag that takes 0 or a positive duration.
func durationFlag(flags *flag.FlagSet, variable *time.Duration, name, usage string) {
	flags.Var(value[time.Duration]{variable, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, errors.New("it takes a duration with its unit, such as 40s or 200ms, 0 or more")
		}
		return d, nil
	}}, name, usage)
}

// wordFlag adds a flag that takes one of some values by its name.
func wordFlag[T any](flags *flag.FlagSet, variable *T, name, usage string, values ...T) {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	flags.Var(value[T]{variable, func(text string) (T, error) {
		if i := slices.Index(words, text); i >= 0 {
			return values[i], nil
		}
		var none T
		return none, errors.New("it takes " + strings.Join(words, " or "))
	}}, name, usage)
}

// listFlag adds a flag that may be given again, each time for one more.
func listFlag[T any](
	flags *flag.FlagSet, variable *[]T, name, usage string, parse func(text string) (T, error),
) {
	flags.Func(name, usage, func(text string) error {
		parsed, err := parse(text)
		if err == nil {
			*variable = append(*variable, parsed)
		}
		return err
	})
}
