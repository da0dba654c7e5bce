//! The cloudtaser command
