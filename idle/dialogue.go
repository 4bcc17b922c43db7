package idle

import (
	"errors"
	"slices"
	"strings"
	"sync"
)

// command is what the two filters have to know of the command that the server works on.
type command int

const (
	otherCommand command = iota
	idleCommand
	appendCommand
	loginCommand
	authenticateCommand
	unauthenticateCommand
	startTLSCommand
)

// commands has the names in capitals, as [strings.ToUpper] makes them: go-imap compares so, and
// takes even "ıdle" for IDLE.
var commands = map[string]command{
	"IDLE":           idleCommand,
	"APPEND":         appendCommand,
	"LOGIN":          loginCommand,
	"AUTHENTICATE":   authenticateCommand,
	"UNAUTHENTICATE": unauthenticateCommand,
	"STARTTLS":       startTLSCommand,
}

// What goes out after the tag instead of the server's own answer.
const (
	answerUnknown     = "BAD Unknown command"
	answerCannot      = "NO [CANNOT] IDLE is switched off on this server"
	answerPrivacy     = "NO [PRIVACYREQUIRED] TLS is required to authenticate"
	answerBeginTLS    = "OK Begin TLS negotiation now"
	answerStartTLSBad = "BAD STARTTLS not available"
)

// dialogue is what is known of a connection from both directions. The server works on one command
// at a time and writes its answer before it reads on, so what it has written when it reads again
// tells what it takes the next byte for.
type dialogue struct {
	listener *listener

	mu            sync.Mutex
	command       command
	answer        string // replaces that of the server, if not empty
	answered      bool   // a tagged line was written since the last read
	challenged    bool   // a continuation request was
	encrypted     bool
	authenticated bool
	upgrade       bool // TLS begins when the line is out
	rev2Only      bool // the server does not speak IMAP4rev1
	rev2Enabled   bool
	greeted       bool  // the server has said something
	err           error // why the server must not go on
}

// next tells the reader what the server has written since it last asked.
func (d *dialogue) next() (answered, challenged bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answered, challenged = d.answered, d.challenged
	d.answered, d.challenged = false, false
	return answered, challenged
}

// begin takes the name of the command that goes to the server next, and tells whether it must be
// answered with BAD.
func (d *dialogue) begin(name string) (refused bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.command, d.answer = commands[strings.ToUpper(name)], ""
	switch {
	case d.command == idleCommand && (d.rev2Only || d.rev2Enabled):
		d.answer = answerCannot
	case d.command == idleCommand:
		d.answer = answerUnknown
	case d.command == authenticateCommand && !d.authenticated && d.refusesLoginLocked():
		d.answer = answerPrivacy // at once, so that no password is asked for in clear
	}
	return d.answer != ""
}

// failed notes that the server could not read on. What it says to a STARTTLS now is about that.
func (d *dialogue) failed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.command == startTLSCommand {
		d.command = otherCommand
	}
}

// current returns the command that the server works on.
func (d *dialogue) current() command {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.command
}

// refusesLoginLocked tells whether the client must use TLS first. It is called under mu.
func (d *dialogue) refusesLoginLocked() bool {
	return d.listener.terminates && !d.encrypted && !d.listener.insecureAuth
}

// allowsLogin tells whether the client may log in.
func (d *dialogue) allowsLogin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.refusesLoginLocked()
}

// silent tells whether the server has said nothing yet.
func (d *dialogue) silent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.greeted
}

// spoken notes that the server has said something, and returns an error if that showed that it is
// set up wrongly.
func (d *dialogue) spoken() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.greeted
	d.greeted = true
	if d.err != nil &&
		first { // what comes after the greeting may be of a client's making, and ends its connection only
		d.listener.fail(d.err)
	}
	return d.err
}

// upgraded tells whether TLS begins now.
func (d *dialogue) upgraded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	upgraded := d.upgrade
	d.upgrade = false
	d.encrypted = d.encrypted || upgraded
	return upgraded
}

// greeting notes the status of the greeting, or of any other untagged response.
func (d *dialogue) greeting(status string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if status == "PREAUTH" {
		d.authenticated = true
	}
}

// errIdling ends a connection on which the filter has lost track of the client's commands. The
// session is not asked: go-imap does so after the line that cannot be written.
var errIdling = errors.New("idle: IDLE came through to the server")

// challenge notes a continuation request, by its first word. go-imap has this one for IDLE, and no
// base64 looks like it.
func (d *dialogue) challenge(word string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.challenged = true
	if word == "idling" {
		d.err = errIdling
	}
}

// finish notes the status of a tagged response, and returns what to send instead of it, if that is
// not empty.
func (d *dialogue) finish(status string) (instead string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	command, answer, ok := d.command, d.answer, status == "OK"
	d.command, d.answer, d.answered = otherCommand, "", true
	switch {
	case command == startTLSCommand && ok && !d.listener.terminates:
		d.err = errServerTLS
	case command == startTLSCommand && status == "NO" && d.listener.startTLS != nil:
		if d.encrypted || d.authenticated {
			return answerStartTLSBad
		}
		d.upgrade = true
		return answerBeginTLS
	case (command == loginCommand || command == authenticateCommand) && ok:
		d.authenticated = true
	case command == unauthenticateCommand && ok:
		d.authenticated, d.rev2Enabled = false, false
	}
	return answer
}

// enabled notes the capabilities of an ENABLED response.
func (d *dialogue) enabled(caps []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(caps, "IMAP4rev2") {
		d.rev2Enabled = true
	}
}

// capabilities returns what the client is told of the server's list.
func (d *dialogue) capabilities(caps []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rev2Only = slices.Contains(caps, "IMAP4rev2") && !slices.Contains(caps, "IMAP4rev1")
	caps = slices.DeleteFunc(caps, func(c string) bool { return strings.EqualFold(c, "IDLE") })
	if !d.listener.terminates {
		switch {
		case slices.Contains(caps, "STARTTLS"):
			d.err = errServerTLS
		case d.encrypted && slices.Contains(caps, "LOGINDISABLED"):
			d.err = errLoginDisabled
		}
		return caps
	}
	if d.authenticated || d.encrypted {
		return caps
	}
	// In clear the server runs with InsecureAuth. Say what it would have said without.
	isAuth := func(c string) bool { return strings.HasPrefix(c, "AUTH=") }
	if d.listener.startTLS != nil {
		at := slices.IndexFunc(caps, isAuth)
		if at < 0 {
			at = len(caps)
		}
		caps = slices.Insert(caps, at, "STARTTLS")
	}
	if d.refusesLoginLocked() {
		caps = append(slices.DeleteFunc(caps, isAuth), "LOGINDISABLED")
	}
	return caps
}
