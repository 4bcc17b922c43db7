package wire

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
)

// dialogue is what the guard knows of a connection from both directions. The server works on one
// command at a time, and writes its answer before it reads on. So what it has written when it reads
// again shows how it interprets the next byte.
type dialogue struct {
	listener  *listener
	hidesIdle bool

	mu            sync.Mutex
	answer        string // replaces the server's answer, unless empty
	after         []func()
	command       command
	running       bool // a command has its name, but no answer yet
	readOnlyNext  bool // the next answer must say READ-ONLY instead of READ-WRITE
	readOnly      bool // the answer that is being written must
	answered      bool // a tagged line was written since the last read
	challenged    bool // a continuation request was written since then
	encrypted     bool
	authenticated bool
	upgrade       bool // TLS begins when the answer is written
	rev2Only      bool // the server does not speak IMAP4rev1
	rev2Enabled   bool
	greeted       bool // the server has said something

	hasMore atomic.Bool           // upgrade or after may be set
	failure atomic.Pointer[error] // why the server must not go on; nil if it may
}

// next returns what the server has written since the last call, and whether the client is logged
// in.
func (d *dialogue) next() (answered, challenged, loggedIn bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answered, challenged = d.answered, d.challenged
	d.answered, d.challenged = false, false
	return answered, challenged, d.authenticated
}

// begin takes the name of the command that goes to the server next. It returns which command that
// is, and what happens to it. Bare means without arguments.
func (d *dialogue) begin(name string, bare bool) (command, verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = strings.ToUpper(name)
	d.command, d.answer, d.running = commandOf(name), "", true
	v := d.judgeLocked(name, bare)
	return d.command, v
}

func (d *dialogue) judgeLocked(name string, bare bool) verdict {
	switch {
	case d.command == idleCommand && d.hidesIdle:
		d.answer = answerUnknown
		if d.rev2Only || d.rev2Enabled {
			d.answer = answerCannot
		}
		return refused
	case d.authenticated:
		return passes
	case (d.command == loginCommand || d.command == authenticateCommand) && d.refusesLoginLocked():
		d.answer = answerPrivacy // at once, so that no password is asked for in clear
		return refused
	case beforeLogin[name], name == "", name == "UID ":
		return passes // without a name, go-imap closes the connection before it reads on
	}
	d.command = otherCommand
	return d.tooEarlyLocked(name, bare)
}

// tooEarlyLocked answers a command that is not allowed before login.
func (d *dialogue) tooEarlyLocked(name string, bare bool) verdict {
	switch state := states[name]; {
	case name == "CHECK" && bare:
		d.answer = "OK CHECK completed" // go-imap takes it for NOOP
	case name == "CHECK":
		d.answer = "BAD [CLIENTBUG] Syntax error: expected CRLF"
	case state == "":
		return unknown
	default:
		d.answer = "BAD [CLIENTBUG] This command is only valid in the " + state + " state"
	}
	return refused
}

// replace replaces the answer to the running command.
func (d *dialogue) replace(answer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// failed notes that the server could not read on. If it answers a STARTTLS now, that is about the
// failure.
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

// refusesLoginLocked reports whether the client must begin TLS before it may log in.
func (d *dialogue) refusesLoginLocked() bool {
	config := &d.listener.guard.config
	return config.Terminates && !d.encrypted && !config.InsecureAuth
}

func (d *dialogue) loggedIn() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.authenticated
}

// silent reports whether the server has said nothing yet.
func (d *dialogue) silent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.greeted
}

func (d *dialogue) fail(err error) { d.failure.Store(&err) }

// spoken notes that the server has said something. It returns an error if that showed that the
// server is set up wrongly.
func (d *dialogue) spoken() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.greeted
	d.greeted = true
	failure := d.failure.Load()
	if failure == nil {
		return nil
	}
	if first {
		// After the greeting a client may have caused this, so it ends only that connection.
		d.listener.fail(*failure)
	}
	return *failure
}

// upgraded reports whether TLS begins now.
func (d *dialogue) upgraded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	upgraded := d.upgrade
	d.upgrade = false
	d.encrypted = d.encrypted || upgraded
	d.hasMore.Store(len(d.after) > 0)
	return upgraded
}

// callAfter keeps f until the answer to the running command is written; ok is false if none runs.
func (d *dialogue) callAfter(f func()) (ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running {
		d.after = append(d.after, f)
		d.hasMore.Store(true)
	}
	return d.running
}

// takeAfter returns the functions to call now that an answer is written.
func (d *dialogue) takeAfter() []func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := d.after
	d.after = nil
	d.hasMore.Store(d.upgrade)
	return after
}

func (d *dialogue) setReadOnlyNext() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readOnlyNext = true
}

// isReadOnly reports whether this answer must say READ-ONLY instead of READ-WRITE.
func (d *dialogue) isReadOnly() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readOnly
}

// untagged notes the status of an untagged response. Only a greeting says that the client is logged
// in. A later line that does may be a client's own words, which a careless backend has repeated.
func (d *dialogue) untagged(status string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if status == "PREAUTH" && !d.greeted {
		d.authenticated = true
	}
}

// errIdling ends a connection on which the guard has lost track of the client's commands. Idle of
// the session is not called, because go-imap first writes a line, and that fails.
var errIdling = errors.New("imapgate: IDLE came through to the server")

// challenge notes a continuation request by its first word, and returns the word that the client
// gets. go-imap says "idling" for IDLE, which no base64 looks like. It says "=" for an empty
// challenge, which should be nothing (RFC 9051 section 6.2.2).
func (d *dialogue) challenge(word string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.challenged = true
	switch {
	case word == "idling" && d.hidesIdle:
		d.fail(errIdling)
	case word == "=" && d.command == authenticateCommand:
		return ""
	}
	return word
}

// finish notes the status of a tagged response. It returns what to send instead, or "" for the
// response itself.
func (d *dialogue) finish(status string) (instead string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	command, answer, ok := d.command, d.answer, status == "OK"
	d.command, d.answer, d.answered, d.running = otherCommand, "", true, false
	d.readOnly, d.readOnlyNext = ok && d.readOnlyNext, false
	config := &d.listener.guard.config
	switch {
	case !ok:
	case command == startTLSCommand && !config.Terminates:
		d.fail(errServerTLS)
	case command == loginCommand || command == authenticateCommand:
		d.authenticated = true
	case command == unauthenticateCommand:
		d.authenticated, d.rev2Enabled = false, false
	}
	if command == startTLSCommand && status == "NO" && config.StartTLS != nil {
		if d.encrypted || d.authenticated {
			return answerStartTLSBad
		}
		d.upgrade = true
		d.hasMore.Store(true)
		return answerBeginTLS
	}
	return answer
}
